"""What the writers of the tools' formats share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from al_learner.core.errors import DataError
from al_learner.core.exchange.output.contents import ClassProbabilities, Contents, ExportedText

Record = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """What the project in the other tool is like.

    Attributes
    ----------
    names : mapping of str to str
        Names of fields and questions there, all that the tool's module lists in ``NAMES``.
    annotator_ids : mapping of str to str
        Who an annotator is there. The key "" stands for votes without a name.
    left_out : Counter
        What was not written, in words, and how often.
    """

    names: Mapping[str, str]
    annotator_ids: Mapping[str, str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def annotator_id(self, annotator: str | None) -> str | None:
        """Return who an annotator is there; None: nobody is named."""
        return self.annotator_ids.get(annotator or "", annotator) or None


def ids(text: ExportedText) -> Record:
    """Return the ids of a text, by which it is found again when its labels come back."""
    external = {} if text.external_id is None else {"external_id": text.external_id}
    return {"text_id": text.text_id, **external}


def model(prediction: ClassProbabilities) -> str:
    """Return the name of a classifier and its version."""
    return f"al_learner-{prediction.clf_id}"


def check_annotators(
    contents: Contents, target: Target, is_allowed: Callable[[str], object], *, named_by: str, remedy: str
) -> None:
    """Make sure that every annotator is somebody in the tool.

    Parameters
    ----------
    named_by : str
        The tool, and what it names its people by.
    remedy : str
        What to do about those who are nobody there; ``{name}`` stands for the first of them.

    Raises
    ------
    DataError
        Names the annotators that are not.
    """
    wrong = [name or "" for name in contents.annotators if (i := target.annotator_id(name)) and not is_allowed(i)]
    if wrong:
        shown = ", ".join(map(repr, wrong[:10])) + (f" and {len(wrong) - 10:,} more" if len(wrong) > 10 else "")
        raise DataError(f"{named_by}, and these are none: {shown}. {remedy.format(name=wrong[0])}")
