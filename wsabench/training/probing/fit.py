"""Linear probes in dual form: ridge regression and logistic regression on the same features.

Every contestant is treated alike: features are centred at the training mean and divided by their overall root mean
square, and the probe works with the samples' inner products, so its cost and its hyper-parameter grid do not depend on
the number of features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

FloatMatrix = npt.NDArray[np.float64]
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Grid of penalties relative to the mean squared length of a sample; the same for every contestant."""
LOGISTIC_COMPONENTS = 256
"""Logistic probes see the projections on this many leading directions of the training samples."""
SMALLEST_EIGENVALUE = 1e-7
"""Directions with less than this share of the features' mean squared length are rounding noise."""


class ProbeFeatures(NamedTuple):
    """Samples in the coordinates of the training samples' principal directions, largest first.

    Attributes:
        train: Shape (N, R), mean 0, mean squared length of a row 1.
        validation: Shape (V, R).
        test: Shape (T, R).
    """

    train: FloatMatrix
    validation: FloatMatrix
    test: FloatMatrix


def principal_features(
    train: npt.NDArray[np.float32], validation: npt.NDArray[np.float32], test: npt.NDArray[np.float32]
) -> ProbeFeatures:
    """Rotate samples into the span of the training samples; a linear probe loses nothing by it.

    Args:
        train: Flattened embeddings, float32, shape (N, D).
        validation: Shape (V, D).
        test: Shape (T, D).
    """
    mean = train.mean(0)
    rows = torch.from_numpy(np.concatenate([train, validation, test]) - mean)
    count = len(train)
    products = (rows @ rows[:count].T).double()
    products /= products[:count].trace() / count or 1.0
    values, vectors = torch.linalg.eigh(products[:count])
    kept = values > SMALLEST_EIGENVALUE * count
    if not kept.any():
        return ProbeFeatures(*(np.zeros((len(part), 1)) for part in (train, validation, test)))
    to_components = (vectors[:, kept] / values[kept].sqrt()).flip(1)
    components = (products @ to_components).numpy()
    return ProbeFeatures(*np.split(components, [count, count + len(validation)]))


def ridge_score(features: ProbeFeatures, train: FloatMatrix, validation: FloatMatrix, test: FloatMatrix) -> FloatMatrix:
    """Return R^2 on the test samples, the penalty chosen for each variable on the validation samples.

    Args:
        features: Features of the parts.
        train: Targets, shape (N, V).
        validation: Targets of the validation samples.
        test: Targets of the test samples.

    Returns:
        Shape (V,): 1 is perfect, 0 no better than the test mean; not clipped.
    """
    mean = train.mean(0)
    squares = np.square(features.train).sum(0)
    projected = features.train.T @ (train - mean)
    scores = []
    for penalty in PENALTIES:
        weights = projected / (squares + penalty)[:, None]
        scores.append(
            [_r2(features.validation @ weights + mean, validation), _r2(features.test @ weights + mean, test)]
        )
    by_penalty = np.array(scores)
    best = by_penalty[:, 0].argmax(0)
    return by_penalty[best, 1, np.arange(train.shape[1])]


def logistic_score(
    features: ProbeFeatures,
    train: npt.NDArray[np.int64],
    validation: npt.NDArray[np.int64],
    test: npt.NDArray[np.int64],
) -> float:
    """Return the accuracy on the test samples relative to guessing, the penalty chosen on the validation samples.

    Args:
        features: Features of the parts.
        train: Classes from 0, shape (N,).
        validation: Classes of the validation samples.
        test: Classes of the test samples.

    Returns:
        (accuracy - guess) / (1 - guess), guess the share of the test samples' most frequent class: 1 is perfect, 0 no
        better than a constant guess; not clipped.
    """
    part = slice(0, LOGISTIC_COMPONENTS)
    scale = np.sqrt(len(features.train))
    num_classes = int(max(train.max(), validation.max(), test.max())) + 1
    weights = np.zeros((features.train[:, part].shape[1] + 1, num_classes))
    best = (-np.inf, 0.0)
    for penalty in PENALTIES[::-1]:
        weights = _fit_logistic(scale * features.train[:, part], train, penalty, weights)
        hits = [
            float(((scale * x[:, part]) @ weights[:-1] + weights[-1]).argmax(1).__eq__(y).mean())
            for x, y in ((features.validation, validation), (features.test, test))
        ]
        best = max(best, (hits[0], hits[1]), key=lambda pair: pair[0])
    guess = np.bincount(test).max() / len(test)
    return (best[1] - guess) / (1 - guess)


def _fit_logistic(x: FloatMatrix, y: npt.NDArray[np.int64], penalty: float, start: FloatMatrix) -> FloatMatrix:
    shape, count = start.shape, len(y)
    targets = np.eye(shape[1])[y]

    def value(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weights = flat.reshape(shape)
        logits = x @ weights[:-1] + weights[-1]
        loss = (logsumexp(logits, axis=1) - (logits * targets).sum(1)).mean()
        loss += 0.5 * penalty * np.square(weights[:-1]).sum() / count
        error = (softmax(logits, axis=1) - targets) / count
        gradient = np.vstack([x.T @ error + penalty * weights[:-1] / count, error.sum(0, keepdims=True)])
        return float(loss), gradient.ravel()

    return minimize(value, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 40}).x.reshape(shape)


def _r2(predicted: FloatMatrix, actual: FloatMatrix) -> npt.NDArray[np.float64]:
    return 1 - np.square(actual - predicted).sum(0) / np.square(actual - actual.mean(0)).sum(0)
