"""What `okk` gives agents, and what pre-training draws from it, against loops and against the code of before."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from wsabench.encoders import PretextBatch, build_encoder, build_pretext, load_encoder
from wsabench.encoders.inference import inference_copy
from wsabench.encoders.pretrained.transporter import TransporterPretext
from wsabench.errors import SpecError

pytestmark = pytest.mark.oracle

FORMER = {"output": "gaussians", "gaussian": "half"}
SIZES = ("compact", "paper")
FIRST_FORMAT = Path(__file__).with_name("okk_first_format.safetensors")
"""Breakout's shipped encoder of that time."""
# Of `build_encoder("okk", seed=7)` and of that file, before the encoder had options: channels 0 to 3 at row 10, column
# 10, for the first frame of `pixels`.
GOLDEN = {
    "compact": [0.9033606648445129, 0.7678825259208679, 0.7614068388938904, 0.8316633105278015],
    "paper": [0.9406857490539551, 0.9982262253761292, 0.9899365305900574, 0.9431787133216858],
    "file": [0.6729474663734436, 0.4088428020477295, 4.5607213201531e-16, 3.055090201087296e-05],
}


@pytest.fixture
def pixels():
    return torch.rand(2, 1, 84, 84, generator=torch.Generator().manual_seed(3))


def former(keypoints):
    """Draw Gaussians as the code before the options did."""
    grid = torch.linspace(-1, 1, 21)
    marginals = torch.exp(-(keypoints[..., None] - grid).square() / (2 * 0.1**2))
    return marginals[..., 0, :, None] * marginals[..., 1, None, :]


@pytest.mark.parametrize("size", SIZES)
def test_agents_get_the_1x1_convolution_of_the_trunk(size, pixels):
    encoder = build_encoder("okk", 7, size).eval()
    assert encoder.options == {"output": "map", "gaussian": "full"}
    with torch.inference_mode():
        found = encoder(pixels)
        trunk = encoder.trunk(pixels).double().numpy()
        fast = inference_copy(encoder, torch.float32)(pixels)
    weight, bias = (value.detach().double().numpy() for value in (encoder.head.weight, encoder.head.bias))
    expected = np.zeros((2, 4, 21, 21))
    for k, c in np.ndindex(weight.shape[:2]):
        expected[:, k] += weight[k, c, 0, 0] * trunk[:, c]
    expected += bias[None, :, None, None]
    assert found.shape == (2, 4, 21, 21)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(fast.numpy(), expected, atol=1e-3)
    assert found.std() > 0.1, "maps that are flat show nothing"


@pytest.mark.parametrize("size", SIZES)
def test_the_former_output_is_that_of_the_code_before(size, pixels):
    encoder = build_encoder("okk", 7, size, FORMER).eval()
    with torch.inference_mode():
        found = encoder(pixels)
        assert torch.equal(found, former(encoder.keypoints(pixels)))
    assert found.dtype == torch.float32
    assert found[0, :, 10, 10].tolist() == pytest.approx(GOLDEN[size], rel=1e-3)


def test_a_file_of_the_first_format_gives_what_it_gave(pixels):
    encoder = load_encoder(FIRST_FORMAT).encoder
    assert encoder.options == FORMER
    with torch.inference_mode():
        assert encoder(pixels)[0, :, 10, 10].tolist() == pytest.approx(GOLDEN["file"], rel=1e-2)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("gaussian", "factor"), [("full", 1), ("half", 2)])
def test_gaussians_are_the_loop_over_cells(size, gaussian, factor, pixels):
    encoder = build_encoder("okk", 7, size, {"output": "gaussians", "gaussian": gaussian}).eval()
    with torch.inference_mode():
        found, keypoints = encoder(pixels), encoder.keypoints(pixels).double()
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    for n, k, y, x in np.ndindex(2, 4, 21, 21):
        squared = (float(keypoints[n, k, 0]) - (-1 + 0.1 * y)) ** 2 + (float(keypoints[n, k, 1]) - (-1 + 0.1 * x)) ** 2
        assert float(found[n, k, y, x]) == pytest.approx(math.exp(-squared / (factor * 0.1**2)), abs=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_keypoints_are_the_mean_places_of_the_maps(size, pixels):
    encoder = build_encoder("okk", 7, size).eval()
    with torch.inference_mode():
        maps, found = encoder(pixels).double().numpy(), encoder.keypoints(pixels)
    for n, k in np.ndindex(2, 4):
        mass, place = np.exp(maps[n, k]) / np.exp(maps[n, k]).sum(), np.zeros(2)
        for y, x in np.ndindex(21, 21):
            place += mass[y, x] * np.array([-1 + 0.1 * y, -1 + 0.1 * x])
        assert found[n, k].tolist() == pytest.approx(place.tolist(), abs=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_pretraining_moves_objects_by_gaussians_whatever_agents_get(size):
    generator = torch.Generator().manual_seed(1)
    batch = PretextBatch(*torch.rand(2, 2, 4, 84, 84, generator=generator), torch.zeros(1, 84, 84))
    pretext = build_pretext("transporter", 0, size).eval()
    assert pretext.keynet.options["output"] == "map"

    def loss(options):
        keynet = build_encoder("okk", 0, size, options).eval()
        keynet.load_state_dict(pretext.keynet.state_dict())
        other = copy.deepcopy(pretext)
        other.keynet = keynet
        with torch.no_grad():
            return float(other.loss(batch, 0)["loss"])

    with torch.no_grad():
        found = float(pretext.loss(batch, 0)["loss"])
    assert found == loss({"output": "gaussians"})
    assert abs(found - loss({"gaussian": "half"})) > 1e-6 * found


def test_a_copy_keeps_its_options():
    encoder = inference_copy(build_encoder("okk", 7, options=FORMER), torch.float32)
    assert encoder.options == FORMER


def test_wrong_options_are_named():
    message = r"The encoder 'okk' has no option 'outptu'. Allowed: output, gaussian."
    with pytest.raises(SpecError, match=message):
        build_encoder("okk", 0, options={"outptu": "map"})
    message = r"The option 'output' of the encoder 'okk' is 'mapp'. Allowed: map, gaussians."
    with pytest.raises(SpecError, match=message):
        build_encoder("okk", 0, "paper", {"output": "mapp"})
    with pytest.raises(SpecError, match=r"The encoder 'sr' has no option 'output'. Allowed: none."):
        build_encoder("sr", 0, options={"output": "map"})
    assert build_encoder("sr", 0, options={}).options == {}
    assert TransporterPretext().keynet.options == {"output": "map", "gaussian": "full"}
