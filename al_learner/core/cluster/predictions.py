"""The predictions for all texts of a project, computed on a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from al_learner.core.cluster.cluster_trainer import ClusterTrainer
from al_learner.core.cluster.tasks import Model, Predictions
from al_learner.core.cluster.transport.client import Client

AT_MOST = 32
"""So many parts of the corpus are sent at a time; their predictions are in memory together."""

PART_S = 3_600
"""How long a part may take."""

Probabilities = NDArray[np.float32]


class ClusterPredictions:
    """Probabilities of texts that are asked for in ascending order of their ids.

    Parameters
    ----------
    client : Client
        It is closed by `close`.
    database : str
        As of `ClusterTrainer`.
    model : Model
        The stored model that predicts.
    here : callable
        Returns the probabilities for texts that the Dask workers did not find: they read the database a little later.
    """

    def __init__(
        self, client: Client, database: str, model: Model, here: Callable[[Sequence[str]], Probabilities]
    ) -> None:
        self._here = here
        self._parts = _predicted(client, database, model)
        self._known: Predictions | None = None

    def of(self, ids: Sequence[int], texts: Sequence[str]) -> Probabilities:
        """Return the probability of each class, shape (n_texts, n_classes). Raises AlLearnerError."""
        wanted = np.asarray(ids, np.int64)
        parts = [] if self._known is None else [self._known]
        while not parts or parts[-1].text_ids[-1:].max(initial=0) < wanted[-1]:
            part = next(self._parts, None)
            if part is None:
                break
            parts.append(part)
        if not parts:
            return self._here(texts)
        text_ids = np.concatenate([part.text_ids for part in parts])
        probabilities = np.concatenate([part.probabilities for part in parts])
        places = np.searchsorted(text_ids, wanted)
        rest = int(places[-1])
        self._known = Predictions(text_ids[rest:], probabilities[rest:])
        found = probabilities[np.minimum(places, len(text_ids) - 1)] if len(text_ids) else None
        is_found = np.isin(wanted, text_ids)
        if found is None or not is_found.all():
            missing = self._here([text for text, there in zip(texts, is_found, strict=True) if not there])
            found = np.empty((len(wanted), missing.shape[1]), np.float32) if found is None else found
            found[~is_found] = missing
        return found

    def close(self) -> None:
        """End the connection to the cluster."""
        self._parts.close()


def _predicted(client: Client, database: str, model: Model) -> Generator[Predictions]:
    with closing(client):
        client.ping("batch")
        yield from ClusterTrainer(client, database, slot="batch", timeout_s=PART_S).predict(model, at_most=AT_MOST)
