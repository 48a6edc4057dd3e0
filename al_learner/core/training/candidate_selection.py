"""How a model selector, such as the classifier `auto`, selects one of its candidates.

Each candidate is trained, and its loss is computed on rows that it was not trained on. The choice is recorded with the
run whose texts were used, and the next run trains the selected candidate. When there are 1.5 times as many labels, the
candidates are compared again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from al_learner.core.errors import AlLearnerError, ClusterUnavailable, DatabaseUnavailable, PluginError
from al_learner.core.events import event
from al_learner.core.interfaces import Classifier, Estimator, Labels, ModelSelector
from al_learner.core.registry import Spec, is_same
from al_learner.core.training.job import Job, Losses

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.pipeline import Pipeline

GROWTH = 1.5
"""The candidates are compared again when there are so many times the labels of the last choice."""


@dataclass(frozen=True)
class Choice:
    """A choice, as al_runs records it.

    Attributes
    ----------
    name : str
        The candidate that is trained from now on.
    labels : int
        Number of labelled texts that were used.
    losses : mapping of str to float
        Mean loss of each candidate that did not fail.
    failed : mapping of str to str
        Error of each candidate that failed.
    candidates : mapping of str to dict
        Parameters of every candidate.
    """

    name: str
    labels: int
    losses: Mapping[str, float]
    failed: Mapping[str, str]
    candidates: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Return a choice that al_runs recorded. What only a newer version records is ignored."""
        return cls(**{field.name: record[field.name] for field in fields(cls)})

    def __str__(self) -> str:
        return self.described()

    def described(self, limit: int | None = None) -> str:
        """Return the choice in words, with the `limit` lowest losses; by default with all."""
        losses = sorted(self.losses.items(), key=lambda item: item[1])
        compared = ", ".join(f"{name} {loss:.3f}" for name, loss in losses[:limit])
        more = f", and {len(losses) - limit:,} more" if limit and len(losses) > limit else ""
        failed = f"; failed: {', '.join(self.failed)}" if self.failed else ""
        is_lowest = not losses or self.losses.get(self.name) == losses[0][1]
        why = "" if is_lowest else ", the first within one standard error of the lowest loss"
        return f"{self.name}, at {self.labels:,} labels{why}; mean loss: {compared or 'none'}{more}{failed}"


class CandidateSelector:
    """Selects one of a model selector's candidates. For any other classifier there is nothing to select.

    Parameters
    ----------
    classifier : Classifier
        The configured classifier.
    candidates : mapping of str to Classifier
        Name to candidate, the preferred first; see `registry.candidates`.
    """

    def __init__(self, classifier: Classifier, candidates: Mapping[str, Classifier]) -> None:
        self.use(classifier, candidates)

    def use(self, classifier: Classifier, candidates: Mapping[str, Classifier]) -> None:
        """Select among other candidates from now on; parameters as for the class."""
        self._model_selector = classifier if isinstance(classifier, ModelSelector) else None
        self._spec = Spec.of("classifier", classifier)
        self._specs = {name: Spec.of("classifier", one) for name, one in candidates.items()}

    @property
    def chooses(self) -> bool:
        """Whether the classifier has candidates."""
        return self._model_selector is not None

    def is_due(self, last: Choice | None, labels: int) -> bool:
        """Whether the candidates must be compared now, with `labels` labelled texts."""
        if self._model_selector is None or labels < self._model_selector.min_labels or len(self._specs) < 2:
            return False
        return last is None or not self._were_compared(last) or labels >= GROWTH * last.labels

    def selected(self, last: Choice | None) -> str:
        """Return the candidate to train: the last choice, or the first candidate where that is no longer one."""
        if last is not None and self._is_same(last, last.name):
            return last.name
        return next(iter(self._specs))

    def record(self, last: Choice | None) -> dict[str, Any]:
        """Return the classifier as al_runs records it; for a model selector also ``chosen``, the candidate to train."""
        return asdict(self._spec) | ({"chosen": asdict(self._specs[self.selected(last)])} if self._specs else {})

    def job(self, name: str, job: Job) -> Job:
        """Return a job that computes the losses of a candidate on the rows of `job`."""
        return replace(job, classifier=self._specs[name], last=None, model_selector=self._spec)

    def select(self, last: Choice | None, labels: int, losses_of: Callable[[str], Losses]) -> Choice:
        """Compare the candidates. One that fails is left out; if all fail, the last choice stays.

        Parameters
        ----------
        losses_of : callable
            Takes a candidate's name. Returns its loss on each row, nan where it is unknown.
        """
        found: dict[str, Losses] = {}
        failed: dict[str, str] = {}
        for name in self._specs:
            try:
                losses = losses_of(name)
                if not np.isfinite(losses).any():
                    raise PluginError("it has no finite loss on any row")
                found[name] = losses
            except (DatabaseUnavailable, ClusterUnavailable):
                raise
            except AlLearnerError as exc:
                failed[name] = str(exc)
                event("choice.candidate_failed", level=logging.WARNING, candidate=name, error=str(exc))
        name = best(found) if found else self.selected(last)
        means = {candidate: round(float(np.nanmean(losses)), 4) for candidate, losses in found.items()}
        return Choice(name, labels, means, failed, self._params())

    def _were_compared(self, last: Choice) -> bool:
        return last.candidates.keys() == self._specs.keys() and all(self._is_same(last, name) for name in self._specs)

    def _is_same(self, last: Choice, name: str) -> bool:
        """Whether a candidate is one of the last comparison, with the same parameters."""
        spec, params = self._specs.get(name), last.candidates.get(name)
        if spec is None or params is None:
            return False
        return is_same("classifier", asdict(Spec(spec.name, params)), asdict(spec))

    def _params(self) -> dict[str, Mapping[str, Any]]:
        return {name: spec.params for name, spec in self._specs.items()}


def best(losses: Mapping[str, Losses]) -> str:
    """Return the first candidate whose mean loss is within one standard error of the lowest.

    The standard error is that of the difference. On few texts the lowest mean is mostly chance, so the order of the
    candidates decides among those that are about as good.

    Parameters
    ----------
    losses : mapping of str to ndarray of shape (n_rows,)
        The preferred first. Rows that are nan for one candidate are left out for all.

    References
    ----------
    The one-standard-error rule: Breiman, Friedman, Olshen and Stone (1984). Classification and regression trees.
    Wadsworth. doi:10.1201/9781315139470
    """
    told = np.isfinite(np.stack(list(losses.values()))).all(axis=0)
    compared = {name: each[told] for name, each in losses.items()}
    lowest = min(compared, key=lambda name: compared[name].mean() if told.any() else 0.0)
    for name, each in compared.items():
        worse = each - compared[lowest]
        if len(worse) < 2 or worse.mean() <= worse.std(ddof=1) / np.sqrt(len(worse)):
            return name
    return lowest


def candidate_losses(
    selector: ModelSelector, fit: Callable[[csr_matrix, Labels], Pipeline], X: csr_matrix, y: Labels
) -> Losses:
    """Return a candidate's loss on each row, computed by models that were not trained on that row, shape (n_rows,).

    Parameters
    ----------
    fit : callable
        Trains the candidate on some rows. It may know more classes than those have: the classes of a prior.

    Raises
    ------
    AlLearnerError
        The candidate or the selector failed.
    """
    from al_learner.core.training.fitting import failed  # heavy: scikit-learn

    try:
        losses = np.asarray(selector.losses(X, y, lambda X, y: _restricted(fit(X, y), np.unique(y))), np.float64)
    except AlLearnerError:
        raise
    except Exception as exc:  # whatever a third party's code raises
        raise failed("classifier", selector, exc) from exc
    if losses.shape != y.shape:
        raise PluginError(f"classifier {selector!r}: {len(y)} rows need as many losses, not shape {losses.shape}")
    return losses


def _restricted(fitted: Pipeline, classes: Labels) -> Estimator:
    """Return a classifier that knows no other classes than these."""
    return fitted if np.array_equal(fitted.classes_, classes) else _Restricted(fitted, classes)


class _Restricted:
    """A fitted classifier that predicts only some of its classes; their probabilities sum to 1."""

    def __init__(self, fitted: Pipeline, classes: Labels) -> None:
        self._fitted, self.classes_ = fitted, classes
        self._columns = np.searchsorted(fitted.classes_, classes)

    def predict_proba(self, X: csr_matrix) -> NDArray[np.floating[Any]]:
        probabilities: NDArray[np.floating[Any]] = self._fitted.predict_proba(X)[:, self._columns]
        sums = probabilities.sum(axis=1, keepdims=True)
        sums[sums == 0] = 1  # the log loss is as bad without
        return cast("NDArray[np.floating[Any]]", probabilities / sums)

    def predict(self, X: csr_matrix) -> Labels:
        return cast(Labels, self.classes_[self.predict_proba(X).argmax(axis=1)])


def trained(record: Mapping[str, Any]) -> Spec:
    """Return the strategy that is really trained, from a classifier as al_runs records it."""
    chosen = record.get("chosen", record)
    return Spec(chosen["name"], chosen["params"])


def title(record: Mapping[str, Any]) -> str:
    """Return a short name of a classifier as al_runs records it: ``auto (logreg)``."""
    return f"{record['name']} ({record['chosen']['name']})" if "chosen" in record else str(record["name"])
