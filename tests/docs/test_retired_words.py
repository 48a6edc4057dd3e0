"""Names and phrases that were replaced by the field's words do not come back."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

NAMES = (
    "Looker", "Workbench", "ChildTrainer", "Settled", "Played", "Chooser", "in_slice", "in_words", "put_back", "bury",
    "heard_init", "is_unheard", "unheard_s", "standing_in",
)  # fmt: skip
EVENTS = ("look.idle", "look.failed", "pair.promoted")
PHRASES = (
    "on no text it can be told", "a run that is on", "a run is on", "the slice", "a twin", "its twin", "the twin",
    "settled label", "was put back",
)  # fmt: skip

EXCEPTED = {"CHANGELOG.md", "docs/explanation/glossary.md", "al_learner/core/deprecated.py"}
"""Where the old words are explained."""

FILES = [
    path
    for folder in ("al_learner", "docs")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".md", ".html"}
] + [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("word", [*NAMES, *EVENTS, *PHRASES])
def test_a_retired_word_stands_nowhere_but_where_it_is_explained(word: str) -> None:
    pattern = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w])".replace("\\ ", r"\s+"))
    used = [name(path) for path in FILES if pattern.search(path.read_text(encoding="utf-8"))]
    assert {*used} - EXCEPTED == set()


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))
