"""Losses of the encoders as loops."""

import numpy as np

from wsabench.encoders.pretrained.vos import SSIM_C1, SSIM_C2


def naive_dssim(first, second, window):
    """The mean dissimilarity, (1 - SSIM) / 2, over all windows of two images."""
    values = []
    for y in range(first.shape[0] - window + 1):
        for x in range(first.shape[1] - window + 1):
            a, b = (image[y : y + window, x : x + window] for image in (first, second))
            top = (2 * a.mean() * b.mean() + SSIM_C1) * (2 * ((a - a.mean()) * (b - b.mean())).mean() + SSIM_C2)
            bottom = (a.mean() ** 2 + b.mean() ** 2 + SSIM_C1) * (a.var() + b.var() + SSIM_C2)
            values.append((1 - top / bottom) / 2)
    return np.mean(values)
