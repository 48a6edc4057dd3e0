"""The methods of `Project` that show it: its report, and what a notebook shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from al_learner.core.errors import AlLearnerError, DataError
from al_learner.core.labels.annotators import Agreement
from al_learner.core.lifecycle.project_state import ProjectState
from al_learner.core.lifecycle.status import Status, read_status
from al_learner.core.models.catalogue import Catalogue
from al_learner.core.report.facts import N_WORDS, Facts, gather
from al_learner.core.representation import html_table
from al_learner.core.storage.storage import Storage

if TYPE_CHECKING:
    from al_learner.core.training.explanation import Effect


class Report:
    """The report of a project: `facts`, and a page that shows them. A notebook shows the page.

    Attributes
    ----------
    facts : Facts
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def __str__(self) -> str:
        from al_learner.core.report.page import page  # needs an extra

        return page(self.facts)

    def __repr__(self) -> str:
        return f"Report of {self.facts.status.database}: str() is HTML, and write(FILE) writes it"

    def _repr_html_(self) -> str:
        from html import escape

        style = "width: 100%; height: 45rem; border: 0"
        return f'<iframe srcdoc="{escape(str(self))}" style="{style}" title="report"></iframe>'

    def write(self, file: Path | str, *, force: bool = False) -> Path:
        """Write the page to a file.

        Raises
        ------
        DataError
            The file is there already and `force` is not given, or it cannot be written.
        """
        path, written = Path(file), str(self)
        try:
            with path.open("w" if force else "x", encoding="utf-8") as opened:
                opened.write(written)
        except FileExistsError as exc:
            raise DataError(f"{path} is there already; --force, in Python force=True, overwrites it") from exc
        except OSError as exc:
            raise DataError(f"{path}: {exc.strerror}") from exc
        return path


class ReportMethods:
    """The methods of `Project` that show it."""

    _storage: Storage
    _catalogue: Catalogue
    status: Callable[[], Status]
    read_state: Callable[[], ProjectState]
    annotators: Callable[..., Agreement]
    top_features: Callable[..., dict[str, list[Effect]]]

    def __repr__(self) -> str:
        return f"Project({self._storage.url()!r})"

    def _repr_html_(self) -> str:
        try:
            return html_table(self.status().facts(), heading=repr(self))
        except AlLearnerError as exc:
            return html_table([("cannot be read", str(exc))], heading=repr(self))

    def report(self) -> Report:
        """Return what the project has learned: accuracy, errors, words, annotators, and whether labelling still pays.

        Nothing is trained, and nothing is written to the database. Pictures need the extra ``plots``.

        Raises
        ------
        DataError
            The extra is missing.
        """
        from al_learner.core.report.pictures import check_extra

        check_extra()
        state = self.read_state()
        status = read_status(state, self._storage, self._catalogue.stopping_advice(state.truth))
        words = partial(self.top_features, N_WORDS)
        return Report(gather(self._storage, status, state.truth, self.annotators(), words))
