"""The texts to label next, by a query strategy and a stored classifier; and the method of `Project` for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from al_learner.core.errors import AlLearnerError, PluginError, SettingsError
from al_learner.core.interfaces import Codes, Estimator, QueryStrategy, Transformer
from al_learner.core.registry import Spec
from al_learner.core.storage.database import chunked
from al_learner.core.storage.exchange.snapshot import snapshot
from al_learner.core.storage.labelforward_tables import CHUNK
from al_learner.core.storage.storage import Storage

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

N_CANDIDATES = 20_000
"""So many texts are kept for a query strategy to pick from, or ten times as many as are wanted if that is more."""


class QueriedText(NamedTuple):
    """A text to label next, and what a classifier predicts for it.

    `uncertainty` is 1 minus `probability`, the probability of `predicted_label`. `external_id` is the id that the text
    had elsewhere; None if it had none.
    """

    text_id: int
    external_id: str | None
    text: str
    predicted_label: str
    probability: float
    uncertainty: float


class QueryMethods:
    """The method of `Project` that picks texts."""

    _storage: Storage
    load_model: Callable[..., tuple[Transformer, Estimator]]

    def query(
        self,
        size: int,
        *,
        strategy: str | QueryStrategy = "least-confidence",
        clf_id: int | None = None,
        seed: int | None = None,
        progress: Callable[[int], object] = lambda _: None,
    ) -> list[QueriedText]:
        """Return the texts to label next, the most wanted first: of those that have no vote and are not blank.

        Nothing is written. So the same texts can be returned again until they have votes, and the app may hand them
        out too. All texts are predicted, some at a time. Only those with the highest scores are kept in memory: 20,000,
        or ten times `size` if that is more, and at times twice as many.

        Parameters
        ----------
        size : int
            How many texts. If fewer are left, all of them are returned.
        strategy : str or QueryStrategy
            The query strategy: an object, ``NAME``, or ``NAME(parameter=value)``.
        clf_id : int, optional
            The classifier; by default the newest.
        seed : int, optional
            Seed of the random numbers; by default a new one each time.
        progress : callable
            Called with the number of texts that were predicted so far.

        Raises
        ------
        SettingsError
            There is no such strategy, a parameter is wrong, or `size` or `seed` is too small.
        PluginError
            The strategy cannot be loaded, or it failed.
        DataError
            There is no classifier, or not this one.
        UntrustedError
            The classifier was not stored by al_learner, or was changed later. It is not loaded.
        """
        if problems := [
            f"{name} = {n}: must be at least {least}"
            for name, n, least in (("size", size, 1), ("seed", seed or 0, 0))
            if n < least
        ]:
            raise SettingsError(problems)
        chosen = query_strategy(strategy)
        transformer, classifier = self.load_model(clf_id)
        rng = np.random.default_rng(seed)
        found = _candidates(chosen, self._storage, transformer, classifier, max(N_CANDIDATES, 10 * size), rng, progress)
        if found is None:
            return []
        rows = pick(chosen, found.probabilities, found.X, size, rng)
        ids, probabilities = found.ids[rows].tolist(), found.probabilities[rows]
        with snapshot(self._storage.database) as stored:
            texts = {text.text_id: text for text in stored.texts(ids)}
        return [
            QueriedText(
                text_id, texts[text_id].external_id, texts[text_id].text,
                str(classifier.classes_[row.argmax()]), top, 1 - top,
            )
            for text_id, row, top in zip(ids, probabilities, probabilities.max(axis=1).tolist(), strict=True)
            if text_id in texts  # it can be deleted in the meantime
        ]  # fmt: skip


def query_strategy(chosen: str | QueryStrategy) -> QueryStrategy:
    """Make a query strategy from ``NAME`` or ``NAME(parameter=value)``.

    Raises
    ------
    SettingsError
        The name or a parameter is wrong, or it is an object of another kind.
    PluginError
        The plug-in cannot be loaded.
    """
    if isinstance(chosen, str):
        return cast(QueryStrategy, Spec.read("query_strategy", chosen).make("query_strategy"))
    if not isinstance(chosen, QueryStrategy):
        raise SettingsError([f"{chosen!r} is not a query strategy: give a name, or an object of a QueryStrategy"])
    return chosen


def pick(
    strategy: QueryStrategy,
    probabilities: NDArray[np.floating[Any]],
    X: csr_matrix,
    size: int,
    rng: np.random.Generator,
) -> Codes:
    """Let a query strategy pick texts; parameters and result as of `QueryStrategy.query`.

    Raises
    ------
    PluginError
        It raised an exception, or returned something else than it promises.
    """
    rows = np.asarray(_asked(strategy, lambda: strategy.query(probabilities, X, size, rng)))
    n_texts = len(probabilities)
    wanted = min(size, n_texts)
    is_valid = rows.shape == (wanted,) and rows.dtype.kind in "iu" and ((rows >= 0) & (rows < n_texts)).all()
    if not is_valid or len({*rows.tolist()}) < wanted:
        raise PluginError(
            f"query_strategy {strategy!r} must return {wanted:,} different positions from 0 to {n_texts - 1:,}"
        )
    return rows.astype(np.intp)


@dataclass(frozen=True)
class _Part:
    """Some texts: ids, scores and probabilities as arrays, and the rows of features."""

    ids: NDArray[np.int64]
    scores: NDArray[np.floating[Any]]
    probabilities: NDArray[np.floating[Any]]
    X: csr_matrix

    def take(self, rows: NDArray[Any]) -> _Part:
        return _Part(self.ids[rows], self.scores[rows], self.probabilities[rows], self.X[rows])


def _candidates(
    strategy: QueryStrategy,
    storage: Storage,
    transformer: Transformer,
    classifier: Estimator,
    limit: int,
    rng: np.random.Generator,
    progress: Callable[[int], object],
) -> _Part | None:
    """Return the `limit` texts with the highest scores, by id; None if every text has votes or is blank."""
    from al_learner.core.training.fitting import transform  # heavy: scikit-learn

    parts: list[_Part] = []
    least, n_kept, n_read = -np.inf, 0, 0
    for chunk in chunked(storage.tables.texts_without_votes(), CHUNK):
        X = transform(transformer, [text for _, text in chunk])
        probabilities = classifier.predict_proba(X)
        part = _Part(np.array([i for i, _ in chunk]), _scores(strategy, probabilities, rng), probabilities, X)
        parts.append(part.take(np.flatnonzero(part.scores > least)))
        n_kept += len(parts[-1].ids)
        if n_kept >= 2 * limit:  # seldom, because it copies all that are kept
            parts = [_best(parts, limit)]
            least, n_kept = parts[0].scores.min(), limit
        progress(n_read := n_read + len(chunk))
    return _best(parts, limit) if parts else None


def _best(parts: Iterable[_Part], limit: int) -> _Part:
    from scipy.sparse import vstack  # heavy

    ids, scores, probabilities, X = zip(*((p.ids, p.scores, p.probabilities, p.X) for p in parts), strict=True)
    whole = _Part(np.concatenate(ids), np.concatenate(scores), np.concatenate(probabilities), vstack(X, "csr"))
    return whole.take(np.sort((-whole.scores).argsort(kind="stable")[:limit]))


def _scores(
    strategy: QueryStrategy, probabilities: NDArray[np.floating[Any]], rng: np.random.Generator
) -> NDArray[np.floating[Any]]:
    scores = np.asarray(_asked(strategy, lambda: strategy.scores(probabilities, rng)))
    if scores.shape != (len(probabilities),) or scores.dtype.kind != "f" or not np.isfinite(scores).all():
        raise PluginError(f"query_strategy {strategy!r} must return {len(probabilities):,} finite scores")
    return scores


def _asked(strategy: QueryStrategy, ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except AlLearnerError:
        raise
    except Exception as exc:  # whatever a third party's code raises
        raise PluginError(f"query_strategy {strategy!r} failed: {type(exc).__name__}: {exc}") from exc
