"""Simulations in a notebook: `simulate`, and the table that it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from al_learner.core.exchange.corpus import checked
from al_learner.core.report.pictures import Picture
from al_learner.core.simulation import metrics, report
from al_learner.core.simulation.grid import Grid, TrialResult
from al_learner.core.simulation.running.sweep import sweep

try:
    import pandas as pd
except ImportError:  # from None, or a notebook would show two tracebacks that say the same
    raise ImportError("simulate returns a pandas.DataFrame: pip install 'al-learner[notebook]'") from None


def simulate(
    texts: Iterable[str],
    labels: Iterable[str],
    *,
    folder: Path | str | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    tick: Callable[[int, int], object] = lambda rounds, projects: None,  # noqa: ARG005 - by default nobody counts
    **grid: Any,
) -> Curves:
    """Compare strategies on a labelled corpus: replay it as many projects, with the code that a worker runs.

    Each project is a combination of strategies and a seed. A fifth of the texts, at most 10,000, is held out of it;
    accuracy is measured on those. Projects are simulated in separate processes. So a script must call this under
    ``if __name__ == "__main__":``. In a notebook this is not needed.

    Parameters
    ----------
    texts, labels : iterable of str
        The corpus and its true labels: lists, arrays, pandas Series.
    folder : path, optional
        Finished projects are stored there. They are not simulated again.
    workers : int, optional
        Number of projects at a time; by default the number of cores. The result is the same for any number.
    cluster : str, optional
        Address of a Dask scheduler, as of `AL_LEARNER_CLUSTER`, whose certificates are used. The projects are simulated
        there. `workers` is ignored.
    tick : callable
        Called after every round with the numbers of finished rounds and finished projects.
    **grid
        Any attribute of `Grid`: ``classifiers``, ``vectorizers``, ``seeds``, …

    Returns
    -------
    Curves

    Raises
    ------
    SettingsError
        It lists everything that is wrong with strategies and numbers. No project was simulated.
    DataError
        The corpus cannot be used as it is.
    ClusterError
        The cluster cannot be reached, or it has other versions of packages.
    TrainerError
        A script called this without the guard above, or its processes cannot start for another reason.

    Examples
    --------
    >>> from al_learner.core.exchange.corpus import demo_corpus
    >>> curves = simulate(*demo_corpus(), classifiers=["logreg", "logreg(C=10)"], rounds=8)  # doctest: +SKIP
    >>> curves.plot()  # doctest: +SKIP
    """
    texts, labels = checked(texts, labels)
    trials = Grid(**grid).trials(len(texts))
    where = Path(folder) if folder else None
    return Curves.of(sweep(texts, labels, trials, folder=where, workers=workers, cluster=cluster, tick=tick))


class Curves(pd.DataFrame):
    """Learning curves: a row for each round of each project. A notebook shows them as a picture.

    Columns: ``classifier``, ``vectorizer``, ``init_sampler``, ``label_aggregator`` and ``query``, as they were written;
    ``seed``; ``round``, 0 is the cold start; ``labels``, texts with votes; ``votes``; ``accuracy`` and ``macro_f1`` on
    the texts that were held out; ``majority``, the accuracy of the most frequent label there; ``seconds`` from reading
    the votes to the stored classifier, missing where nothing was trained; ``ceiling``, in the last round, the accuracy
    of the same classifier trained on the true labels of all texts.
    A selection from it is a plain DataFrame.
    """

    _metadata = ["played"]  # noqa: RUF012 - this is how pandas allows an attribute
    played: list[TrialResult]

    @classmethod
    def of(cls, played: list[TrialResult]) -> Curves:
        """Make the table from the results of trials."""
        made = cls(list(report.tidy(played)), columns=list(report.COLUMNS))
        made.played = played
        return made

    @property
    def errors(self) -> dict[str, str]:
        """Why projects failed, by strategies and seed. Empty if none failed."""
        failed = [one for one in self.played if one.error is not None]
        return {
            f"{', '.join(one.trial.names().values())}, seed {one.trial.plan.seed}": one.error or "" for one in failed
        }

    def plot(self) -> Picture:  # type: ignore[override]  # a plot of these columns by pandas is of no use
        """Draw the means over seeds, with the standard deviation as a band.

        A notebook shows the picture, ``save("curves.png")`` writes it, and `str` is SVG; it needs the extra ``plots``.
        """
        return report.picture(metrics.curves(self.played))

    def summary(self, *, target: float | None = None) -> pd.DataFrame:
        """Return the table by which strategies are compared, the largest area first.

        Parameters
        ----------
        target : float, optional
            The table says how many labels each combination needs for this accuracy; by default 95% of the best.
        """
        found = metrics.curves(self.played)
        header, rows = metrics.table(found, metrics.default_target(found) if target is None else target)
        return pd.DataFrame(rows, columns=header)

    def _repr_html_(self) -> str:
        return f"{self.plot()}{self.summary().to_html(index=False)}"
