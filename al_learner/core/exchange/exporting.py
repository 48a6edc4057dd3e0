"""Exports texts, labels, votes and predictions of a project: as rows, as a DataFrame, and into files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from al_learner.core.deprecated import warn
from al_learner.core.errors import SettingsError
from al_learner.core.exchange.output import tables
from al_learner.core.exchange.output.contents import Classes, Contents, What, open_contents
from al_learner.core.exchange.output.files import replacing
from al_learner.core.exchange.output.formats import TOOLS, WriteOptions, format_of, write
from al_learner.core.interfaces import Codes, Estimator, Transformer, Votes
from al_learner.core.storage.storage import Storage


@dataclass(frozen=True)
class Exported:
    """Number of texts that were exported, what was left out, and for a tool the names that the file uses."""

    texts: int
    warnings: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)


class PredictsAll(Protocol):
    """Predicts all texts, in the order of their ids."""

    def of(self, ids: Sequence[int], texts: Sequence[str]) -> NDArray[np.floating]:
        """Return the probability of each class, shape (n_texts, n_classes)."""

    def close(self) -> object:
        """Release what it holds."""


OnCluster = Callable[[str, int, Callable[[Sequence[str]], NDArray[np.floating]]], PredictsAll]
"""Predicts on a cluster: gets its address, a clf_id, and what predicts texts here."""


@dataclass(frozen=True)
class Exporter:
    """Reads what is exported.

    Attributes
    ----------
    storage : Storage
    prepare : callable
        Checks the tables.
    load_model : callable
        Returns vectorizer and classifier by clf_id; None: the newest.
    winners_of : callable
        Aggregates votes.
    min_label_count : int
        A text with fewer votes has no label.
    on_cluster : callable
        Predicts all texts on a Dask cluster.
    """

    storage: Storage
    prepare: Callable[[], None]
    load_model: Callable[[int | None], tuple[Transformer, Estimator]]
    winners_of: Callable[[Votes], Codes]
    min_label_count: int
    on_cluster: OnCluster

    @contextmanager
    def open(
        self,
        what: What,
        *,
        clf_id: int | None = None,
        text_ids: Iterable[int | str] | None = None,
        anonymous: bool = False,
        cluster: str | None = None,
        for_tool: bool = False,
        progress: Callable[[int, int], object] = lambda done, total: None,  # noqa: ARG005 - by default nobody counts
    ) -> Iterator[Contents]:
        """Open a snapshot; parameters as for `ExportingMethods.export_rows`.

        `for_tool`: texts come without predictions, because they are new tasks.
        """
        if what not in get_args(What):
            raise SettingsError([f"{what!r} cannot be exported: allowed are {', '.join(get_args(What))}"])
        if clf_id is not None and what in ("labels", "votes"):
            raise SettingsError([f"clf_id: {what} have no predictions; export texts or predictions"])
        has_predictions = what == "predictions" or (what == "texts" and not for_tool)
        if cluster is not None and (not has_predictions or text_ids is not None):
            raise SettingsError(["cluster: only for the predictions of all texts"])
        self.prepare()
        with ExitStack() as stack:
            classes = (
                self._classes(clf_id, cluster, stack, is_required=what == "predictions") if has_predictions else None
            )
            yield stack.enter_context(
                open_contents(
                    what,
                    self.storage.database,
                    winners_of=self.winners_of,
                    min_label_count=self.min_label_count,
                    classes=classes,
                    text_ids=None if text_ids is None else list(text_ids),
                    is_anonymous=anonymous,
                    progress=progress,
                )
            )

    def _classes(
        self, clf_id: int | None, cluster: str | None, stack: ExitStack, *, is_required: bool
    ) -> Classes | None:
        newest = self.storage.tables.newest_clf_id() if clf_id is None else clf_id
        if clf_id is None and not newest and not is_required:
            return None
        transformer, classifier = self.load_model(clf_id if clf_id is not None else newest or None)

        def here(texts: Sequence[str]) -> NDArray[np.floating]:
            return classifier.predict_proba(transformer.transform(texts))

        names = tuple(map(str, classifier.classes_))
        if cluster is None:
            return Classes(newest, names, lambda _ids, texts: here(texts))
        predictions = self.on_cluster(cluster, newest, here)
        stack.callback(predictions.close)
        return Classes(newest, names, predictions.of)


class ExportingMethods:
    """The methods of `Project` that export data."""

    _exporter: Exporter

    def export(self, what: What = "texts", *file: Any, **options: Any) -> Any:
        """Return labels, votes, texts or predictions as a pandas.DataFrame, with the columns of `export_rows`.

        The probability of each class has a column of its own, ``probability_LABEL``.

        Parameters
        ----------
        what : str, default="texts"
        **options
            As for `export_rows`.

        Raises
        ------
        ImportError
            pandas is not installed; it is in the extra ``notebook``.
        """
        if isinstance(what, int):
            warn("Project.export(clf_id, file)", "Project.export_model")
            project: Any = self
            return project.export_model(what, *file, **options)
        with self._exporter.open(what, *file, **options) as contents:
            return tables.frame(contents)

    def export_rows(self, what: What = "texts", **options: Any) -> Iterator[dict[str, Any]]:
        """Yield a dict for each row of an export; not all texts are in memory at a time.

        All rows are of one snapshot: votes that arrive meanwhile are in none of them. `labels` are the texts with an
        aggregated label, `votes` has a row for each vote, `texts` are all texts with labels and predictions, and
        `predictions` are all texts with predictions. Columns:

        - ``text_id``, ``external_id`` (None: the text has none), ``text``
        - of labels and texts: ``label``, the aggregated label, None without one; ``votes`` and ``annotators``, two
          lists in voting order, None for a vote without a name; ``agreement``, the share of the votes that are for the
          label
        - of votes: ``label`` and ``annotator``
        - of texts and predictions: ``predicted_label``, ``uncertainty`` (1 minus the highest probability), ``clf_id``,
          and ``probabilities``, a dict by class. Without a classifier, texts have None and no ``probabilities``.

        Parameters
        ----------
        what : {"labels", "votes", "texts", "predictions"}, default="texts"
        **options
            ``clf_id``, int: the classifier that predicts, by default the newest. ``text_ids``, iterable of int or str:
            only these texts, in this order; a str is an external id. ``anonymous``, bool: leave out who voted.
            ``cluster``, str: address of a Dask scheduler, on whose cluster the predictions are computed.
            ``progress``, callable: called with the numbers of texts that were read so far, and of all.

        Raises
        ------
        DataError
            There is no such text or classifier.
        UntrustedError
            The classifier was not stored by al_learner, or was changed later.
        """
        with self._exporter.open(what, **options) as contents:
            yield from tables.rows(contents)

    def export_file(
        self,
        what: What,
        file: Path | str | BinaryIO,
        *,
        format: str | None = None,  # noqa: A002 - the option's name
        names: Mapping[str, str] | None = None,
        annotators: Mapping[str, str] | None = None,
        safe_csv: bool = False,
        force: bool = False,
        progress: Callable[[int, int], object] = lambda done, total: None,  # noqa: ARG005 - by default nobody counts
        **options: Any,
    ) -> Exported:
        """Write an export into a file. It gets its name when it is complete.

        Parameters
        ----------
        what : {"labels", "votes", "texts", "predictions"}
        file : path or binary file
            If the name ends with ``.gz``, the file is gzipped.
        format : str, optional
            ``csv``, ``jsonl``, ``parquet``, or the import format of another tool: ``label-studio``, ``doccano``,
            ``prodigy``, ``argilla``. By default the name of the file says it.
        names : mapping of str to str, optional
            For a tool: names of fields and questions there. The how-to "Get your labels out" lists them.
        annotators : mapping of str to str, optional
            For a tool: who an annotator is there; "" for votes without a name.
        safe_csv : bool
            Put an apostrophe before every text in CSV that a spreadsheet takes for a formula.
        force : bool
            Overwrite an existing file.
        **options
            As for `export_rows`.

        Raises
        ------
        SettingsError
            The options do not fit together, or a package is missing.
        DataError
            The file cannot be written, or the format cannot have this.
        """
        form = format or (format_of(Path(file)) if isinstance(file, Path | str) else "csv")
        how = WriteOptions(form, names or {}, annotators or {}, safe_csv=safe_csv)
        n_texts = 0

        def count(done: int, total: int) -> None:
            nonlocal n_texts
            n_texts = done
            progress(done, total)

        target = replacing(Path(file), force=force) if isinstance(file, Path | str) else nullcontext(file)
        opened = self._exporter.open(what, for_tool=form in TOOLS, progress=count, **options)
        with target as out, opened as contents:
            warnings = write(contents, out, how)
        return Exported(n_texts, warnings, {**TOOLS[form].names, **how.names} if form in TOOLS else {})
