"""How a classifier that chooses among others, such as `auto`, comes to the one that is trained.

The candidates are trained one by one; each one's loss is told on rows that it has not seen. The choice is recorded with
the run whose texts it rests on, and the next run trains the chosen candidate. When the labels have grown by half, the
candidates are compared anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from al_learner.core.errors import AlLearnerError, DatabaseUnavailable, PluginError
from al_learner.core.events import event
from al_learner.core.interfaces import Chooser, Classifier, Labels
from al_learner.core.registry import Spec
from al_learner.core.training.job import Job, Losses

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

GROWTH = 1.5
"""By how much the labels must have grown since the last choice for the next one to be due."""


@dataclass(frozen=True)
class Choice:
    """A choice, as al_runs records it.

    Attributes
    ----------
    name : str
        The candidate that is trained from now on, as it is called.
    labels : int
        Labelled texts that it was made with.
    losses : mapping of str to float
        Mean loss of each candidate that could be compared.
    failed : mapping of str to str
        Why the others could not.
    candidates : mapping of str to dict
        Parameters of all of them.
    """

    name: str
    labels: int
    losses: Mapping[str, float]
    failed: Mapping[str, str]
    candidates: Mapping[str, Mapping[str, Any]]

    def __str__(self) -> str:
        compared = ", ".join(f"{name} {loss:.3f}" for name, loss in sorted(self.losses.items(), key=lambda i: i[1]))
        failed = f"; failed: {', '.join(self.failed)}" if self.failed else ""
        return f"{self.name}, at {self.labels:,} labels; mean loss: {compared or 'none'}{failed}"


class ModelSelector:
    """Selects one of the candidates of a classifier that chooses among others; of any other, itself.

    Parameters
    ----------
    classifier : Classifier
        As it is configured.
    candidates : mapping of str to Classifier
        Those of a chooser, in the order of preference, by what they are called; see `registry.candidates`.
    """

    def __init__(self, classifier: Classifier, candidates: Mapping[str, Classifier]) -> None:
        self._chooser = classifier if isinstance(classifier, Chooser) else None
        self._spec = Spec.of("classifier", classifier)
        self._specs = {name: Spec.of("classifier", one) for name, one in candidates.items()}

    @property
    def chooses(self) -> bool:
        """Whether there is anything to choose."""
        return self._chooser is not None

    def is_due(self, last: Choice | None, labels: int) -> bool:
        """Tell whether it is time to compare the candidates, for `labels` labelled texts."""
        if self._chooser is None or labels < self._chooser.min_labels or len(self._specs) < 2:
            return False
        return last is None or last.candidates != self._params() or labels >= GROWTH * last.labels

    def selected(self, last: Choice | None) -> str:
        """Return which candidate to train: the one that was chosen, or the first if that one is no longer there."""
        if last is not None and last.candidates.get(last.name) == self._params().get(last.name, ()):
            return last.name
        return next(iter(self._specs))

    def record(self, last: Choice | None) -> dict[str, Any]:
        """Return the classifier as al_runs records it; beside a chooser, as ``chosen``, the candidate to train."""
        return asdict(self._spec) | ({"chosen": asdict(self._specs[self.selected(last)])} if self._specs else {})

    def job(self, name: str, job: Job) -> Job:
        """Return the job that tells the losses of a candidate on the rows of a given job."""
        return replace(job, classifier=self._specs[name], last=None, chooser=self._spec)

    def select(self, last: Choice | None, labels: int, losses_of: Callable[[str], Losses]) -> Choice:
        """Compare the candidates; one that fails is left out, and if all do, nothing changes.

        Parameters
        ----------
        losses_of : callable
            Takes a candidate's name; gives its loss on each row, nan where that cannot be told.
        """
        found: dict[str, Losses] = {}
        failed: dict[str, str] = {}
        for name in self._specs:
            try:
                losses = losses_of(name)
                if not np.isfinite(losses).any():
                    raise PluginError("no finite loss for any row")
                found[name] = losses
            except DatabaseUnavailable:
                raise
            except AlLearnerError as exc:
                failed[name] = str(exc)
                event("choice.candidate_failed", level=logging.WARNING, candidate=name, error=str(exc))
        name = best(found) if found else self.selected(last)
        means = {candidate: round(float(np.nanmean(losses)), 4) for candidate, losses in found.items()}
        return Choice(name, labels, means, failed, self._params())

    def _params(self) -> dict[str, Mapping[str, Any]]:
        return {name: spec.params for name, spec in self._specs.items()}


def best(losses: Mapping[str, Losses]) -> str:
    """Return the first candidate that is not worse than the best by more than one standard error of the difference.

    On few texts the lowest mean is a matter of luck; the order of the candidates then knows more.

    Parameters
    ----------
    losses : mapping of str to ndarray of shape (n_rows,)
        In the order of preference. Rows that are nan for one are left out for all.

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


def candidate_losses(chooser: Chooser, candidate: Classifier, X: csr_matrix, y: Labels) -> Losses:
    """Return how far off a candidate is on each row when it has not seen that row, shape (n_rows,), as a chooser tells.

    Raises
    ------
    AlLearnerError
        The candidate or the chooser failed.
    """
    from al_learner.core.training.fitting import failed, fit_classifier  # heavy: scikit-learn

    try:
        losses = np.asarray(chooser.losses(X, y, partial(fit_classifier, candidate)), np.float64)
    except AlLearnerError:
        raise
    except Exception as exc:  # whatever a third party's code raises
        raise failed("classifier", chooser, exc) from exc
    if losses.shape != y.shape:
        raise PluginError(f"classifier {chooser!r}: {len(y)} rows need as many losses, not shape {losses.shape}")
    return losses


def trained(record: Mapping[str, Any]) -> Spec:
    """Return the strategy that is trained, of a classifier as al_runs records it."""
    chosen = record.get("chosen", record)
    return Spec(chosen["name"], chosen["params"])


def title(record: Mapping[str, Any]) -> str:
    """Say in a word or two what a classifier as al_runs records it is: ``auto (logreg)``."""
    return f"{record['name']} ({record['chosen']['name']})" if "chosen" in record else str(record["name"])
