"""The labels of a load, beside those in table labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from al_learner.core.errors import DataError, did_you_mean
from al_learner.core.interfaces.init_samplers import IGNORED
from al_learner.core.storage.schema import labels

N_SHOWN = 20
"""An error lists so many labels."""


@dataclass(frozen=True)
class LabelSet:
    """Labels of a load.

    Attributes
    ----------
    places : mapping of str to str
        Each label, and where it stands first, for errors.
    may_be_new : bool
        Labels that are not in table labels are appended.
    may_be_first : bool
        They are appended if the table has no label yet.
    """

    places: Mapping[str, str]
    may_be_new: bool = False
    may_be_first: bool = False


def known_labels(connection: sa.Connection) -> frozenset[str]:
    """Return the labels in table labels."""
    return frozenset(connection.scalars(sa.select(labels.c.label).where(labels.c.label != "")))


def append_labels(connection: sa.Connection, given: LabelSet) -> int:
    """Append labels that are not in table labels, if they may be appended. Return how many.

    Raises
    ------
    DataError
        As for `check_labels`.
    """
    new = check_labels(known_labels(connection), given)
    if new:
        connection.execute(labels.insert(), [{"label": label} for label in new])
    return len(new)


def check_labels(known: frozenset[str], given: LabelSet) -> list[str]:
    """Return the labels that are to be appended to those of table labels.

    Raises
    ------
    DataError
        A label is not among those of the table, and may not be new. An empty table knows every label.
    """
    unknown = [label for label in given.places if label not in known and (label != IGNORED or not known)]
    if unknown and known and not given.may_be_new:
        raise DataError(_refusal(unknown, known, given.places))
    return unknown if given.may_be_new or (given.may_be_first and not known) else []


def _refusal(unknown: list[str], known: frozenset[str], places: Mapping[str, str]) -> str:
    first = unknown[0]
    more = f", nor are {len(unknown) - 1:,} more labels" if len(unknown) > 1 else ""
    shown = ", ".join(map(repr, sorted(known)[:N_SHOWN])) + (" …" if len(known) > N_SHOWN else "")
    meant = did_you_mean(first, known)
    return (
        f"{places[first]}: the label {first!r} is not in table labels{meant}{more}; it has {shown}. Append new labels "
        "with --new-labels, in Python with new_labels=True"
    )
