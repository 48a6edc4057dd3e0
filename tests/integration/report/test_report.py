"""The report of a project: what it says is what is stored, and it can be read everywhere."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pytest

from al_learner import Project
from al_learner.core.errors import DataError
from al_learner.core.report.page import page
from tests.support.browser import shown
from tests.support.corpora import small

WIDTHS = (400, 1280)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def project(folder):
    """A project with votes of three annotators, one of whom errs, and some trainings."""
    texts, labels = small(240)
    labels = [labels[row - 1] if row % 9 == 0 else label for row, label in enumerate(labels)]
    csv = folder / "texts.csv"
    csv.write_text("text\n" + "".join(f"{text} <b>&amp;\n" for text in texts), encoding="utf-8")
    url = f"sqlite:///{folder / 'weather.db'}"
    with_options = {"classifier": "logreg", "vectorizer": "tfidf", "init_sampler": "uniform", "batch_size": 10}
    project = Project(url, **with_options)
    project.load_labels([*dict.fromkeys(labels)])
    project.load_texts(csv)
    project.init()
    for first in range(0, 240, 40):
        for row in range(first, first + 40):
            given = [("ada", labels[row])]
            given += [("ben", labels[row])] if row % 3 == 0 else []
            given += [("cy", labels[row - 1])] if row % 4 == 0 else []
            project.load_votes([{"text_id": row + 1, "label": label, "user": who} for who, label in given])
        project.update()
    yield project
    project.close()


@pytest.fixture(scope="module")
def report(project):
    return project.report()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_says_what_is_stored_and_nothing_overlaps(project, report, folder, width, dark):
    found = shown(str(report), folder, width=width, dark=dark)

    assert found.overlaps == []
    assert found.width <= width
    assert found.requests == 0
    assert found.pictures == 2
    luminance = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (found.paper, found.ink)]
    assert (luminance[0] < luminance[1]) is dark
    assert found.ink_of_pictures == found.ink

    status, metrics = project.status(), project.model(project.status().clf_id)[1].metrics
    for figure in (
        f"{status.texts:,}",
        f"{status.votes:,}",
        f"{metrics['accuracy']:.1%}",
        "accuracy (95%: {:.0%} to {:.0%})".format(*metrics["accuracy_interval"]),
        status.stopping_advice.words[1:],
    ):
        assert figure in found.text
    tables = {tuple(table[0]): table[1:] for table in found.tables}
    scores = {row[0]: row[1:] for row in tables["label", "texts", "precision", "recall"]}
    assert scores == {
        label: [f"{row['support']:,}", f"{row['precision']:.1%}", f"{row['recall']:.1%}"]
        for label, row in metrics["per_class"].items()
    }
    agreement = project.annotators()
    voters = [row[:2] for header, rows in tables.items() if header[0] == "annotator" for row in rows]
    assert voters == [[one.name, f"{one.votes:,}"] for one in agreement.annotators]
    disputed = tables["text_id", "votes", "label", "text"]
    assert [int(row[0]) for row in disputed] == [one.text_id for one in agreement.disputed]
    words = {row[0]: row[1] for row in tables["label", "words, the strongest first"]}
    assert words == {label: ", ".join(e.name for e in top) for label, top in project.top_features(12).items()}


def test_several_days_have_a_bar_each(report, folder):
    days = {date(2026, 5, day): 10 * day for day in (4, 5, 30)}
    found = shown(page(replace(report.facts, labelled_by_day=days)), folder, width=400, dark=False)
    assert found.pictures == 3
    assert found.overlaps == []


def test_the_confusions_are_the_errors_on_the_hold_out_texts(project, report):
    facts = report.facts
    truth = project.read_state().truth("votes")
    predicted = {row.number: row.label for row in project.predict()}
    assert sum(one.texts for one in facts.confusions) > 0
    for one in facts.confusions:
        assert one.label != one.predicted
        for text_id, text in one.examples.items():
            assert truth[text_id] == one.label
            assert text_id in predicted
            assert "<b>&amp;" in text


def test_texts_and_names_of_others_are_shown_and_not_run(report):
    assert "&lt;b&gt;&amp;amp;" in page(report.facts)
    assert "<b>&amp;" not in page(report.facts)


def test_it_is_written_once_and_small(report, folder):
    file = report.write(folder / "report.html")
    assert file.stat().st_size < 1_000_000
    assert file.read_text(encoding="utf-8") == str(report)
    with pytest.raises(DataError, match=r"report\.html is there already"):
        report.write(file)
    report.write(file, force=True)
    with pytest.raises(DataError, match="No such file"):
        report.write(folder / "missing" / "report.html")


def test_a_project_without_a_classifier_has_a_report_that_says_so(tmp_path):
    project = Project(f"sqlite:///{tmp_path / 'empty.db'}")
    project.load_texts(["one", "two"])
    found = shown(str(project.report()), tmp_path, width=400, dark=False)
    project.close()

    assert "There is no classifier yet" in found.text
    assert "There are no votes yet" in found.text
    assert found.overlaps == []


def test_a_notebook_shows_it_in_a_frame_of_its_own(report):
    assert report._repr_html_().startswith('<iframe srcdoc="&lt;!doctype html&gt;')
