"""The kinds of the family `corruption`: changes of the native frame."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from wsabench.perturb.corruption.blur import MotionBlur, gaussian_blur
from wsabench.perturb.corruption.digital import compress, pixelate, scan_lines
from wsabench.perturb.corruption.geometry import CameraJitter, translate, zoom
from wsabench.perturb.corruption.noise import GaussianNoise, ImpulseNoise, ShotNoise, SpeckleNoise
from wsabench.perturb.corruption.overlays import DistractorSprites, Occlusion
from wsabench.perturb.corruption.temporal import FrameHold
from wsabench.perturb.corruption.weather import Fog
from wsabench.perturb.kinds import KINDS, Build, Kind, Parameter, ParameterValue, fixed, number, whole_number
from wsabench.perturb.stages import Image, PureImage

_IMAGENET_C = "Source: ImageNet-C (Hendrycks and Dietterich 2019)"


def pure(operator: Callable[..., Image]) -> Build:
    """Return a builder for an operator from a frame and the parameters by name to the changed frame."""

    def build(**parameters: ParameterValue) -> PureImage:
        return PureImage(functools.partial(operator, **parameters))

    return fixed(build)


def _add(name: str, parameters: Mapping[str, Parameter], build: Build, summary: str) -> None:
    KINDS.add(f"image.{name}", Kind("corruption", parameters, build, summary))


_add(
    "gaussian_noise",
    {"deviation": number(0, 1)},
    fixed(GaussianNoise),
    "x + round(255 * deviation * z), clipped to 0..255, z standard normal, new for every pixel, channel and step; "
    f"0: identity. {_IMAGENET_C}, `gaussian_noise`; theirs truncates to bytes, this rounds.",
)
_add(
    "speckle_noise",
    {"deviation": number(0, 1)},
    fixed(SpeckleNoise),
    "round(x + x * deviation * z), clipped to 0..255, z standard normal, new for every pixel, channel and step: black "
    f"stays black; 0: identity. {_IMAGENET_C}, `speckle_noise`.",
)
_add(
    "shot_noise",
    {"photons": number(0.1, 1000)},
    fixed(ShotNoise),
    "round(255 * Poisson(photons * x / 255) / photons), clipped to 255, new for every pixel, channel and step: black "
    f"stays black. {_IMAGENET_C}, `shot_noise`.",
)
_add(
    "impulse_noise",
    {"amount": number(0, 1)},
    fixed(ImpulseNoise),
    "Every pixel and channel is replaced with probability amount in every step, by 0 or 255, each as likely; 0: "
    f"identity. {_IMAGENET_C}, `impulse_noise`.",
)
_add(
    "gaussian_blur",
    {"sigma": number(0, 20)},
    pure(gaussian_blur),
    "Convolution with a Gaussian of sigma native pixels, cut at 4 sigma, edges repeated; 0: identity. "
    f"{_IMAGENET_C}, `gaussian_blur`, whose sigma is in pixels of 224x224.",
)
_add(
    "motion_blur",
    {"radius": whole_number(1, 50), "sigma": number(0, 50)},
    fixed(MotionBlur),
    "Mean over 2 * radius + 1 native pixels on a line that starts at the pixel, weighted by exp(-i**2 / (2 sigma**2)); "
    "the line's angle is drawn once an episode from -45 to 45 degrees; edges repeated; sigma 0: identity. "
    f"{_IMAGENET_C}, `motion_blur` (ImageMagick's), on 224x224 and with an angle for every picture.",
)
_add(
    "pixelate",
    {"factor": number(0.01, 1)},
    pure(pixelate),
    "Shrink to int(factor * height) x int(factor * width) by area means, enlarge by nearest pixels; 1: identity. "
    f"{_IMAGENET_C}, `pixelate`; its box filter counts pixels whole, this one by their area.",
)
_add(
    "jpeg_compression",
    {"quality": whole_number(1, 100)},
    pure(compress),
    f"Written as JPEG of this quality and read again; no identity. {_IMAGENET_C}, `jpeg_compression`; grey frames "
    "have no colour to subsample.",
)
_add(
    "fog",
    {"density": number(0, 10), "decay": number(1, 5)},
    fixed(Fog),
    "(x + density * f) * m / (m + density) with x in 0..1, m the largest x of the frame, f in 0..1 a plasma fractal "
    "drawn once an episode; decay: by how much its roughness falls at each halving of the scale; density 0: identity. "
    f"{_IMAGENET_C}, `fog`, with a new fractal for every picture.",
)
_add(
    "scan_lines",
    {"strength": number(0, 1), "period": whole_number(2, 20)},
    pure(scan_lines),
    "The last of every `period` rows shows x * (1 - strength), as on a cathode-ray tube; 0: identity. Own choice.",
)
_add(
    "occlusion",
    {"fraction": number(0, 1), "blocks": whole_number(1, 16), "gray": whole_number(0, 255)},
    fixed(Occlusion),
    "`blocks` opaque blocks of grey level `gray` and the screen's shape, each with fraction / blocks of its area, at "
    "uniformly random places, drawn once an episode; they may overlap; fraction 0: identity. Own choice, after cutout "
    "(DeVries and Taylor 2017).",
)
_add(
    "moving_occlusion",
    {
        "fraction": number(0, 1),
        "blocks": whole_number(1, 16),
        "gray": whole_number(0, 255),
        "speed": whole_number(1, 50),
    },
    fixed(Occlusion),
    "As `image.occlusion`, but each block moves straight on, 1 to `speed` native pixels a step along each axis, and "
    "turns back at the edges; fraction 0: identity. Own choice.",
)
_add(
    "camera_shift",
    {"right": whole_number(-100, 100), "down": whole_number(-100, 100)},
    pure(translate),
    "The picture is moved by `right` and `down` native pixels, always the same; edges repeated; 0, 0: identity. After "
    "`translate` of ImageNet-P.",
)
_add(
    "camera_jitter",
    {"pixels": whole_number(0, 100)},
    fixed(CameraJitter),
    "The picture is moved by an offset that is drawn anew in every step, along each axis uniformly from -pixels to "
    "pixels; edges repeated; 0: identity. Own choice, after `translate` of ImageNet-P.",
)
_add(
    "zoom",
    {"factor": number(0.1, 10)},
    pure(zoom),
    "Magnified by factor about the centre, bilinear; below 1 smaller, edges repeated; 1: identity. After `scale` of "
    "ImageNet-P.",
)
_add(
    "frame_freeze",
    {"probability": number(0, 1), "steps": whole_number(1, 1000)},
    fixed(FrameHold),
    "In each step in which nothing is held, with this probability the last picture is held for `steps` steps; "
    "p k / (1 - p + p k) of all steps show a held picture; probability 0: identity. Own choice.",
)
_add(
    "frame_drop",
    {"probability": number(0, 1)},
    fixed(functools.partial(FrameHold, steps=1)),
    "In each step, independently, the newest frame is lost with this probability and the one before is shown again; "
    "0: identity. Own choice; the flickering of Hausknecht and Stone 2015 blanks the frame instead.",
)
_add(
    "distractor_sprites",
    {"count": whole_number(0, 64), "scale": whole_number(1, 8), "speed": whole_number(0, 50)},
    fixed(DistractorSprites),
    "`count` figures of 8x8 pixels, each enlarged `scale` times, of random shape and colour (drawn once an episode), "
    "move straight on, 1 to `speed` native pixels a step along each axis, and turn back at the edges; count 0: "
    "identity. Own choice, after the Distracting Control Suite (Stone et al. 2021).",
)
