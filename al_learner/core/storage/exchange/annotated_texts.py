"""Texts with the votes on them, as other tools have them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

MAX_ID_LENGTH = 255
"""Of an external id, in characters: PostgreSQL's index of them holds no more than 2,700 bytes."""


class OnDuplicate(StrEnum):
    """What is done with a text whose external id is there already."""

    ERROR = "error"  #: Nothing is loaded.
    SKIP = "skip"  #: The text and its votes are left out.
    UPDATE = "update"  #: The text is replaced; annotators' new votes replace their old ones.


@dataclass(frozen=True)
class Vote:
    """A label that an annotator gave a text.

    Attributes
    ----------
    label : str
    annotator : str
        "" for nobody named.
    time : float or None
        Seconds since 1970; None if it is not known.
    where : str
        Its place in the file, for errors.
    """

    label: str
    annotator: str = ""
    time: float | None = None
    where: str = ""


@dataclass(frozen=True)
class AnnotatedText:
    """A text, and the votes on it.

    Attributes
    ----------
    text : str
    where : str
        Its place in the file, for errors.
    external_id : str
        The id that it has elsewhere; "" if it has none.
    text_id : int or None
        Its number in table text_data, if it came from there.
    votes : tuple of Vote
    """

    text: str
    where: str = ""
    external_id: str = ""
    text_id: int | None = None
    votes: tuple[Vote, ...] = field(default=())
