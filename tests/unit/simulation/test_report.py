"""What a simulation leaves behind: a page that needs nothing else, a picture, and the rounds."""

import csv
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from al_learner.core.errors import DataError
from al_learner.core.registry import Spec
from al_learner.core.simulation.grid import Trial, TrialResult
from al_learner.core.simulation.metrics import curves
from al_learner.core.simulation.plan import Plan
from al_learner.core.simulation.replay import Round
from al_learner.core.simulation.report import COLOURS, picture, write
from al_learner.core.simulation.simulated_annotators import Noise

SVG = "{http://www.w3.org/2000/svg}"


def played(classifier, seed=0, end=0.75, error=None, n_rounds=3, **plan):
    specs = [Spec("complement-nb", {"alpha": classifier}), *(Spec(n, {}) for n in ("tfidf", "balanced", "majority"))]
    chosen = Plan(rounds=n_rounds - 1, batch_size=50, seed=seed, **plan)
    rounds = [Round(n, 50 * n, 50 * n, end * n / max(n_rounds - 1, 1), 0.1 if n else None) for n in range(n_rounds)]
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
    assert not re.search(r"url\(|@import|<script", text)
    assert {*re.findall(r"https?://[^\s\"<]+", text)} == {"http://www.w3.org/2000/svg"}


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
    assert "grey: 3 more" in text


def test_it_says_how_it_was_simulated(page):
    assert "one annotator, without wrong votes" in page(played(1))
    noisy = page(played(1, annotators=3, votes=2, noise=Noise("careless", 0.5)))
    assert "3 annotators, one of them with 50% wrong votes; 2 of them vote on each text" in noisy
    assert "scikit-learn" in noisy


def test_it_can_be_written_when_everything_failed(page):
    text = page(played(1, error="boom"), target=None)
    assert "Every project failed." in text
    Tags(text)


def test_the_picture_has_a_curve_a_combination_the_best_on_top_and_in_the_first_colour():
    found = curves([played(n, end=n / 10, seed=seed) for n in (3, 9, 6) for seed in (0, 1)])
    root = parsed(picture(found))
    groups = root.findall(f"{SVG}g")
    assert [group.get("data-rank") for group in groups] == ["2", "1", "0"]
    assert groups[-1].get("style") == f"color:{COLOURS[0]}"
    assert "alpha=9" in groups[-1].find(f"{SVG}circle/{SVG}title").text


def test_the_higher_the_accuracy_the_higher_the_curve_and_all_of_it_is_inside():
    found = curves([played(1, end=0.9), played(2, end=0.2), played(2, seed=1, end=0.9)])
    root = parsed(picture(found))
    _, _, width, height = map(float, root.get("viewBox").split())
    for shape in [*root.iter(f"{SVG}polyline"), *root.iter(f"{SVG}polygon")]:
        pairs = [tuple(map(float, pair.split(","))) for pair in shape.get("points").split()]
        assert all(0 <= x <= width and 0 <= y <= height for x, y in pairs)
    ends = {
        g.get("data-rank"): float(g.find(f"{SVG}polyline").get("points").split(",")[-1]) for g in root.iter(f"{SVG}g")
    }
    assert ends["0"] < ends["1"]


def test_many_rounds_do_not_make_many_marks():
    root = parsed(picture(curves([played(1, n_rounds=1_000)])))
    assert len([*root.iter(f"{SVG}circle")]) <= 60


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
