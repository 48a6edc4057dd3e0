"""How good a classifier is: the slice that no twin is trained on, and what is measured on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces import Labels

Basis = Literal["votes", "init-data"]

SHARE = 10
"""The slice is one text in so many."""

_SALT = {"votes": 0, "init-data": 0x9E3779B97F4A7C15}


def in_slice(ids: NDArray[np.int64], basis: Basis) -> NDArray[np.bool_]:
    """Tell which texts are in the slice: a tenth, by a hash of the id, the same for ever.

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
    with np.errstate(over="ignore"):
        z = ids.astype(np.uint64) + np.uint64(_SALT[basis]) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return np.asarray(z % np.uint64(SHARE) == 0)


def measure(y: Labels, probabilities: NDArray[Any], classes: Labels) -> dict[str, Any]:
    """Measure predictions against the truth.

    Parameters
    ----------
    y : ndarray of shape (n,)
        True labels; some may not be in `classes`.
    probabilities : ndarray of shape (n, n_classes)
    classes : ndarray of shape (n_classes,)

    Returns
    -------
    dict
        ``precision`` (micro-averaged), ``accuracy``, ``macro_f1``, ``log_loss`` and ``size``, as plain numbers.
        Probabilities are clipped at 1e-15 for the log loss; a label that the classifier does not know counts as that.
    """
    from sklearn.metrics import f1_score, precision_score  # heavy

    predicted = classes[probabilities.argmax(axis=1)]
    column = {label: position for position, label in enumerate(classes)}
    given = [probabilities[row, column[label]] if label in column else 0.0 for row, label in enumerate(y)]
    return {
        "size": len(y),
        "precision": float(precision_score(y, predicted, average="micro", zero_division=0)),
        "accuracy": float(np.mean(predicted == y)),
        "macro_f1": float(f1_score(y, predicted, average="macro", zero_division=0)),
        "log_loss": float(-np.mean(np.log(np.clip(given, 1e-15, 1)))),
    }


def unknown_tokens(transformer: Any, texts: Iterable[str]) -> float | None:
    """Return the share of the texts' tokens that a vectorizer does not know; None if it cannot tell."""
    if not hasattr(transformer, "build_analyzer"):
        return None
    analyze = transformer.build_analyzer()
    vocabulary = getattr(transformer, "vocabulary_", None)  # a hashing vectorizer has none, and knows every word
    tokens = [token for text in texts for token in analyze(text)]
    if not tokens or vocabulary is None:
        return 0.0
    return sum(token not in vocabulary for token in tokens) / len(tokens)
