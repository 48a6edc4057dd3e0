"""How good a classifier is: the hold-out set, and what is measured on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces import Labels

Basis = Literal["votes", "init-data"]

SHARE = 10
"""One text in so many is in the hold-out set."""

N_SAMPLE = 500
"""Texts of the fixed sample on which the predictions of successive classifiers are compared."""

N_BINS = 15
"""Bins of the calibration error, as in the paper."""

BIAS: Mapping[str, str] = {
    "least-confidence": "The app hands out the texts that the classifier is least sure of. They are harder than the "
    "corpus, so the number is pessimistic.",
    "most-confidence": "The app hands out the texts that the classifier is most sure of. They are easier than the "
    "corpus, so the number is optimistic.",
}
"""What it does to a score how the app picks the texts that people vote on; see `Settings.query`."""

_SALT = {"votes": 0, "init-data": 0x9E3779B97F4A7C15, "sample": 0xD1B54A32D192ED03}


def in_hold_out_set(ids: NDArray[np.int64], basis: Basis) -> NDArray[np.bool_]:
    """Return which texts are in the hold-out set: a tenth, by a hash of the id, always the same.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64
        text_id, or init_id where `basis` is ``init-data``.

    Returns
    -------
    ndarray of shape (n,), bool

    References
    ----------
    The hash is the finaliser of SplitMix64: Steele, Lea and Flood (2014). Fast splittable pseudorandom number
    generators. OOPSLA. doi:10.1145/2660193.2660195
    """
    return np.asarray(_scrambled(ids, basis) % np.uint64(SHARE) == 0)


def fixed_sample(ids: NDArray[np.int64], size: int = N_SAMPLE) -> NDArray[np.int64]:
    """Choose texts by a hash of their ids. Where texts are added, most of the chosen ones stay.

    Returns
    -------
    ndarray of shape (min(size, n),), int64
        Sorted.
    """
    if len(ids) <= size:
        return np.sort(ids)
    return np.sort(ids[np.argpartition(_scrambled(ids, "sample"), size)[:size]])


def measure(y: Labels, probabilities: NDArray[Any], classes: Labels, ids: NDArray[np.int64]) -> dict[str, Any]:
    """Compare predictions with the true labels.

    Parameters
    ----------
    y : ndarray of shape (n,)
        True labels; some may not be in `classes`.
    probabilities : ndarray of shape (n, n_classes)
    classes : ndarray of shape (n_classes,)
    ids : ndarray of shape (n,), int64
        Of the texts, text_id or init_id.

    Returns
    -------
    dict
        Plain numbers, as JSON has them: ``size``, ``precision`` (micro-averaged), ``accuracy``, ``accuracy_interval``
        (95%, Wilson's), ``macro_f1``, ``log_loss``, ``calibration_error``, ``labels`` (true and known ones, sorted),
        ``per_class`` (label to precision, recall and support; None where there is nothing to divide by),
        ``confusion`` (true, predicted, count, as positions in ``labels``) and ``predictions`` (see `coded`).
        Probabilities are clipped at 1e-15 for the log loss; a label that the classifier does not know counts as that.

    References
    ----------
    Wilson (1927). Probable inference, the law of succession, and statistical inference. JASA 22.
    doi:10.1080/01621459.1927.10502953
    """
    from scipy.stats import binomtest  # heavy, like those below
    from sklearn.metrics import f1_score, precision_score

    predicted = classes[probabilities.argmax(axis=1)]
    column = {label: position for position, label in enumerate(classes)}
    given = [probabilities[row, column[label]] if label in column else 0.0 for row, label in enumerate(y)]
    is_right = predicted == y
    interval = binomtest(int(is_right.sum()), len(y)).proportion_ci(0.95, method="wilson")
    labels = np.unique(np.concatenate([classes, y]))
    pairs = np.stack([np.searchsorted(labels, y), np.searchsorted(labels, predicted)])
    cells, counts = np.unique(pairs, axis=1, return_counts=True)
    return {
        "size": len(y),
        "precision": float(precision_score(y, predicted, average="micro", zero_division=0)),
        "accuracy": float(is_right.mean()),
        "accuracy_interval": [float(interval.low), float(interval.high)],
        "macro_f1": float(f1_score(y, predicted, average="macro", zero_division=0)),
        "log_loss": float(-np.mean(np.log(np.clip(given, 1e-15, 1)))),
        "calibration_error": calibration_error(probabilities.max(axis=1), is_right),
        "labels": labels.tolist(),
        "per_class": _per_class(y, predicted),
        "confusion": [[*cell, count] for cell, count in zip(cells.T.tolist(), counts.tolist(), strict=True)],
        "predictions": coded(ids, predicted, labels),
    }


def coded(ids: NDArray[np.int64], predicted: Labels, labels: Labels) -> dict[str, list[int]]:
    """Return predictions as two lists of the same length: ``ids``, and ``labels`` as positions in sorted `labels`."""
    return {"ids": ids.tolist(), "labels": np.searchsorted(labels, predicted).tolist()}


def calibration_error(confidences: NDArray[Any], is_right: NDArray[np.bool_]) -> float:
    """Return the expected calibration error: how far top probabilities are from the share of right answers.

    Parameters
    ----------
    confidences : ndarray of shape (n,)
        The probability of each predicted label.
    is_right : ndarray of shape (n,), bool

    References
    ----------
    Guo, Pleiss, Sun and Weinberger (2017). On calibration of modern neural networks. ICML.
    doi:10.48550/arXiv.1706.04599
    """
    bins = np.clip(np.ceil(confidences * N_BINS) - 1, 0, N_BINS - 1).astype(np.intp)
    return float(np.abs(np.bincount(bins, weights=confidences - is_right)).sum() / len(confidences))


def describe_score(metrics: Mapping[str, Any] | None) -> str:
    """Return in words how good a classifier is, its interval, and which texts it was measured on."""
    if metrics is None:
        return "none yet"
    if metrics.get("precision") is None:
        return f"none: {metrics.get('reason')}"
    low, high = metrics["accuracy_interval"]
    bias = BIAS.get(metrics.get("query", ""), "")
    return (
        f"{metrics['accuracy']:.1%} right (95%: {low:.1%} to {high:.1%}), measured on "
        f"{describe_size(metrics['size'], metrics['basis'])}{bias and f'. {bias}'}"
    )


def describe_size(size: int, basis: Basis) -> str:
    """Return in words how many texts a score was measured on."""
    texts = "text" if size == 1 else "texts"
    return f"{size:,} {texts} with votes" if basis == "votes" else f"{size:,} prelabelled {texts}"


def unknown_tokens(transformer: Any, texts: Iterable[str]) -> float | None:
    """Return the share of the texts' tokens that a vectorizer does not know; None if it has no analyzer.

    Of a pipeline, its first step is the vectorizer.
    """
    steps = getattr(transformer, "steps", None)
    if steps:
        transformer = steps[0][1]
    if not hasattr(transformer, "build_analyzer"):
        return None
    analyze = transformer.build_analyzer()
    vocabulary = getattr(transformer, "vocabulary_", None)  # a hashing vectorizer has none, and knows every word
    tokens = [token for text in texts for token in analyze(text)]
    if not tokens or vocabulary is None:
        return 0.0
    return sum(token not in vocabulary for token in tokens) / len(tokens)


def _scrambled(ids: NDArray[np.int64], salt: str) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        z = ids.astype(np.uint64) + np.uint64(_SALT[salt]) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))


def _per_class(y: Labels, predicted: Labels) -> dict[str, dict[str, Any]]:
    from sklearn.metrics import precision_recall_fscore_support  # heavy

    names = np.unique(np.concatenate([y, predicted]))
    precisions, recalls, _, supports = precision_recall_fscore_support(y, predicted, labels=names, zero_division=np.nan)
    return {
        str(name): {
            "precision": None if np.isnan(precision) else float(precision),
            "recall": None if np.isnan(recall) else float(recall),
            "support": int(support),
        }
        for name, precision, recall, support in zip(names, precisions, recalls, supports, strict=True)
    }
