"""Labelled corpora in memory: checked, and the one that is bundled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path

from al_learner.core.errors import DataError
from al_learner.core.exchange.fields import Field, check
from al_learner.core.exchange.rows import read
from al_learner.core.storage.records import MAX_LABEL_LENGTH


def demo_corpus() -> tuple[list[str], list[str]]:
    """Return the bundled sample, texts and labels: descriptions of 2,384 Debian packages in 12 sections."""
    path = Path(str(files("al_learner") / "data" / "demo-packages.jsonl.gz"))
    rows = list(read(path, ("text", "label")))
    return [row["text"] for row in rows], [row["label"] for row in rows]


def checked(texts: Iterable[str], labels: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return a corpus as two lists.

    Raises
    ------
    DataError
        Names the first text or label that cannot be used, or says why the corpus cannot be used.
    """
    texts, labels = list(texts), list(labels)
    if len(texts) != len(labels):
        raise DataError(f"{len(texts):,} texts need as many labels, not {len(labels):,}")
    pairs: Iterator[dict[Field, str]] = (
        {"text": text, "label": label} for text, label in zip(texts, labels, strict=True)
    )
    rows = list(check(pairs, max_label_length=MAX_LABEL_LENGTH))
    if len({row["label"] for row in rows}) < 2:
        raise DataError(f"two different labels are needed; {len(rows):,} texts have {len({*labels})}")
    return [row["text"] for row in rows], [row["label"] for row in rows]
