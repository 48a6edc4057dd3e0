"""The rows that a classifier is trained on: those of labelled texts, and those of a prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces import Labels
from al_learner.core.storage.labelforward_tables import TextTable
from al_learner.core.storage.records import Ids, Prior
from al_learner.core.training.corpus.feature_cache import Features

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Rows:
    """Rows to train on.

    Attributes
    ----------
    X : csr_matrix of shape (n_rows, n_features), float32
    y : ndarray of shape (n_rows,), str
    weights : ndarray of shape (n_rows,), float32, or None
        None: each has 1.
    n_prior : int
        How many rows, the last ones, are those of a prior.
    """

    X: csr_matrix
    y: Labels
    weights: NDArray[np.float32] | None = None
    n_prior: int = 0


def labelled(
    features: Mapping[TextTable, Features],
    text_ids: Ids,
    init_ids: Ids,
    labels: NDArray[np.object_],
    prior: Prior | None,
) -> tuple[csr_matrix, Labels, NDArray[np.bool_]]:
    """Return features and labels of the texts that exist and are not blank, and a mask of these texts.

    The texts of the prior are read, too, in the same query.
    """
    from scipy.sparse import vstack  # heavy

    features["text_data"].read(text_ids if prior is None else np.concatenate([text_ids, prior.text_ids]))
    parts = [features["text_data"].of(text_ids)]
    if len(init_ids):
        features["init_data"].read(init_ids)
        parts.append(features["init_data"].of(init_ids))
    kept = np.concatenate([part[1] for part in parts])
    X = vstack([part[0] for part in parts], format="csr")
    return X[kept], labels[kept].astype(str), kept


def with_prior(features: Mapping[TextTable, Features], X: csr_matrix, y: Labels, prior: Prior | None) -> Rows:
    """Return labelled rows, and those of a prior that was read whose texts are unchanged."""
    from scipy.sparse import vstack  # heavy

    if prior is None:
        return Rows(X, y)
    X_prior, kept = features["text_data"].of(prior.text_ids)
    kept &= features["text_data"].digests(prior.text_ids) == prior.digests
    n_prior = int(kept.sum())
    weights = np.repeat(np.array([1, prior.weight], np.float32), [X.shape[0], n_prior])
    labels = np.concatenate([y, prior.labels[kept].astype(str)])
    return Rows(vstack([X, X_prior[kept]], format="csr"), labels, weights, n_prior)


def of_prior(features: Features, prior: Prior) -> Rows:
    """Return the rows of a prior alone."""
    features.read(prior.text_ids)
    X, kept = features.of(prior.text_ids)
    weights = np.full(int(kept.sum()), prior.weight, np.float32)
    return Rows(X[kept], prior.labels[kept].astype(str), weights, len(weights))
