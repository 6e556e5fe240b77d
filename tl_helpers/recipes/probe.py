"""The linear probe: logistic regression on kept features."""

import warnings
from contextlib import suppress

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from ..engine.metrics import measure
from ..errors import CourseError

STRENGTHS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)


def probe(
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor] | None = None,
    *,
    classes: int | None = None,
    weights: Tensor | None = None,
    strengths: tuple[float, ...] | None = None,
) -> nn.Linear:
    """Fit a linear head on features; the best of several strengths of regularisation, chosen on `val`.

    Features are standardised on the training rows, and the standardisation is folded into the layer, so that the layer
    takes plain features. A feature that hardly varies is not blown up: its deviation counts as at least half the mean
    deviation. Otherwise the folded weights grow a hundredfold, and the first step of fine-tuning wrecks the network.
    Deterministic. Follows scikit-learn's LogisticRegression (L2, lbfgs).

    Args:
        train, val: features float32 (n, width) and labels int64 (n,).
        classes: outputs of the layer; by default the largest training label plus one.
        weights: float32 (n,), how much each training row counts.
        strengths: scikit-learn's C, smaller is stronger. By default six from 0.0003 to 0.1; without `val`, 0.01 alone.

    Raises:
        CourseError: fewer than two classes among the training labels, or more than `classes`, features that are not finite, several strengths
            and no `val` to choose by.
    """
    train, val = _pair(train), None if val is None else _pair(val)
    rows, labels = train
    if not all(bool(torch.isfinite(part[0]).all()) for part in (train, val) if part is not None):
        raise CourseError("Some features are NaN or infinite: check how they were made before fitting a head to them.")
    if len(labels.unique()) < 2:
        raise CourseError(f"A probe needs at least two classes; all {len(labels)} labels are {labels[:1].tolist()}.")
    if classes is not None and classes <= int(labels.max()):
        raise CourseError(f"classes={classes}, but the labels go up to {int(labels.max())}: they count from 0.")
    strengths = strengths or (STRENGTHS if val is not None else (0.01,))
    if val is None and len(strengths) > 1:
        raise CourseError(f"{len(strengths)} strengths and nothing to choose by: pass val=(features, labels), or one.")
    mean, std = rows.mean(0), rows.std(0)
    std = std.clamp(min=max(1e-6, 0.5 * float(std.mean())))
    layers = []
    for strength in strengths:
        model = LogisticRegression(C=strength, max_iter=300)
        # One thread: the matrices are small, and BLAS threads that wait for each other took fifty times as long on two
        # busy cores. A weakly regularised fit on few rows may stop short of its optimum: harmless.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            counts = None if weights is None else torch.as_tensor(weights).numpy()
            model.fit(((rows - mean) / std).numpy(), labels.numpy(), counts)
        layers.append(_as_layer(model, mean, std, classes or int(labels.max()) + 1))

    def good(layer: nn.Linear) -> tuple[float, float]:
        found = measure(layer(val[0]).detach(), val[1])
        return found["accuracy"], -found["loss"]

    return layers[0] if val is None else max(layers, key=good)


def _pair(part: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Features float32 (n, width) and labels int64 (n,), from tensors or arrays (whose floats are doubles); else CourseError."""
    with suppress(TypeError, ValueError, RuntimeError):
        rows, labels = (torch.as_tensor(one).detach() for one in part)
        if rows.ndim == 2 and labels.shape == rows.shape[:1] and torch.equal(labels, labels.long().abs()):
            return rows.float(), labels.long()
    found = [tuple(getattr(one, "shape", ())) for one in part] if isinstance(part, tuple) else type(part).__name__
    how = "probe((features, labels)), features (n, width) and labels (n,), whole numbers from 0"
    raise CourseError(f"A probe takes pairs: {how}; found {found}.")


def _as_layer(model: LogisticRegression, mean: Tensor, std: Tensor, classes: int) -> nn.Linear:
    """scikit-learn's coefficients as nn.Linear; a class that was not in the training rows gets a hopeless logit."""
    weight = torch.from_numpy(model.coef_).float()
    bias = torch.from_numpy(model.intercept_).float()
    if len(model.classes_) == 2:  # scikit-learn keeps one row for two classes: the logit of the second
        weight, bias = torch.cat([-weight / 2, weight / 2]), torch.cat([-bias / 2, bias / 2])
    weight = weight / std
    layer = nn.Linear(weight.shape[1], classes)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.fill_(float(bias.min()) - 20.0)
        layer.weight[model.classes_] = weight
        layer.bias[model.classes_] = bias - weight @ mean
    return layer
