"""What a simulation leaves behind: a page that needs nothing else, a picture, and the rounds."""

import csv
import re
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import DataError
from al_learner.core.registry import Spec
from al_learner.core.report.pictures import COLOURS
from al_learner.core.simulation.grid import Trial, TrialResult
from al_learner.core.simulation.metrics import curves
from al_learner.core.simulation.plan import Plan
from al_learner.core.simulation.replay import Round
from al_learner.core.simulation.report import picture, write
from al_learner.core.simulation.simulated_annotators import Noise
from tests.support.browser import shown

SVG = "{http://www.w3.org/2000/svg}"


def played(classifier, seed=0, end=0.75, error=None, n_rounds=3, **plan):
    specs = [Spec("complement-nb", {"alpha": classifier}), *(Spec(n, {}) for n in ("tfidf", "balanced", "majority"))]
    chosen = Plan(rounds=n_rounds - 1, batch_size=50, seed=seed, **plan)
    accuracy = [end * n / max(n_rounds - 1, 1) for n in range(n_rounds)]
    rounds = [Round(n, 50 * n, 50 * n, one, one / 2, 0.1, 0.1 if n else None, 0.95) for n, one in enumerate(accuracy)]
    return TrialResult(Trial(*specs, plan=chosen), [] if error else rounds, error)


def parsed(svg):
    return ET.fromstring(svg)  # noqa: S314 - our own


@pytest.fixture
def page(tmp_path):
    """Write the report of what was played; return the page's text."""

    def make(*what, target=0.7):
        path = write(tmp_path, what, target, corpus="news & <views>", command="al-learner simulate --data '<x>'")
        return path.read_text(encoding="utf-8")

    return make


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "line", "polygon", "polyline"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_nothing_from_elsewhere(page):
    text = page(played(1), played(2))
    tags = Tags(text)
    assert tags.open == []
    assert not [attrs for _, attrs in tags.found if {"src", "href"} & {*attrs}]
    assert not re.search(r"url\((?!#)|@import|<script", text)
    assert {*re.findall(r"https?://[^\s\"<]+", text)} == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_what_came_from_outside_is_escaped(page):
    text = page(played(1), played(2, error="<script>alert(1)</script>"))
    assert "news &amp; &lt;views&gt;" in text
    assert "&lt;x&gt;" in text
    assert "&lt;script&gt;" in text
    assert "<script>" not in text


def test_every_combination_has_a_row_and_what_failed_is_reported(page):
    text = page(*(played(n, end=0.5 + n / 100) for n in range(1, 12)), played(20, error="boom"))
    assert text.count("<tr data-rank=") == 12
    assert "What failed" in text
    assert "complement-nb(alpha=20), tfidf, balanced, majority, least-confidence: boom" in text
    assert "3 more" in text


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_overlaps_and_the_table_says_what_was_simulated(page, tmp_path, width, dark):
    found = shown(page(played(1), played(1, seed=1, end=0.7), played(2)), tmp_path, width=width, dark=dark)
    assert found.overlaps == []
    assert found.width <= width
    assert found.requests == 0
    assert found.ink_of_pictures == found.ink
    ((header, best, second),) = found.tables
    assert header[1:3] == ["classifier", "vectorizer"]
    assert best[1:] == ["complement-nb(alpha=2)", "tfidf", "0.0", "37.5", "75.0", "37.5", "95.0", "37.5", "100", "0.10"]
    assert second[1] == "complement-nb(alpha=1)"
    assert second[5] == "72.5 ± 3.5"


def test_the_settings_of_the_best_can_be_pasted(page, tmp_path, monkeypatch):
    trial = Trial(
        Spec("logreg", {"C": 3.0, "column_weights": {"meaning": 0.5}}), Spec("tfidf", {}), Spec("balanced", {}),
        Spec("majority", {}), plan=Plan(rounds=2, batch_size=50),
    )  # fmt: skip
    text = page(TrialResult(trial, played(1).rounds))
    file = tmp_path / "al_learner.toml"
    file.write_text(unescape(text.partition("<pre>")[2].partition("</pre>")[0]), encoding="utf-8")
    monkeypatch.setenv("AL_LEARNER_CONFIG", str(file))
    strategies = Settings(database_url="sqlite:///unused.db").strategies
    assert (strategies.classifier.C, strategies.classifier.column_weights) == (3.0, {"meaning": 0.5})
    assert type(strategies.vectorizer).__name__ == "Tfidf"


def test_it_says_how_it_was_simulated(page):
    assert "one annotator, without wrong votes" in page(played(1))
    noisy = page(played(1, annotators=3, votes=2, noise=Noise("careless", 0.5)))
    assert "3 annotators, one of them with 50% wrong votes; 2 of them vote on each text" in noisy
    assert "scikit-learn" in noisy


def test_it_can_be_written_when_everything_failed(page):
    text = page(played(1, error="boom"), target=None)
    assert "there is nothing to show" in text
    Tags(text)


def test_the_picture_has_a_curve_a_combination_and_what_to_compare_with_the_best_on_top():
    found = curves([played(n, end=n / 10, seed=seed) for n in (3, 9, 6) for seed in (0, 1)])
    root = parsed(str(picture(found)))
    ids = [group.get("id") for group in root.iter(f"{SVG}g") if (group.get("id") or "").startswith("curve-")]
    assert [one for one in ids if "band" not in one] == ["curve-4", "curve-3", "curve-2", "curve-1", "curve-0"]
    best = next(group for group in root.iter(f"{SVG}g") if group.get("id") == "curve-0")
    assert COLOURS[0] in best.find(f"{SVG}path").get("style")
    words = "".join(root.itertext())
    assert "complement-nb(alpha=9)" in words
    assert "trained on all labels" in words
    assert "most frequent label" in words


def test_every_round_is_a_row_of_the_csv(page, tmp_path):
    page(played(1), played(2, seed=3))
    with (tmp_path / "rounds.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert rows[4]["classifier"] == "complement-nb(alpha=2)"
    assert [rows[4][name] for name in ("seed", "round", "labels", "votes", "accuracy")] == [
        "3",
        "1",
        "50",
        "50",
        "0.375",
    ]
    assert (rows[0]["seconds"], rows[1]["seconds"]) == ("", "0.1")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file"):
        write(tmp_path / "file", [played(1)], 0.7, corpus="x", command="y")
