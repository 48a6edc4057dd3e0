"""Predictions with a stored classifier."""

from __future__ import annotations

import pytest

from al_learner.core.errors import DataError
from tests.support.corpora import add_weather
from tests.support.tables import ON_BOTH


@ON_BOTH
def test_a_classifier_with_the_id_0_is_not_the_newest(database, open_project):
    add_weather(database, 12)
    project = open_project(database)
    project.update()

    assert len([*project.predict()]) == 12
    with pytest.raises(DataError, match="there is no classifier 0: `al-learner models`"):
        next(project.predict(clf_id=0))


def test_the_probabilities_of_all_classes_agree_with_the_prediction(database, open_project):
    add_weather(database, 12)
    project = open_project(database)
    project.update()

    for given in (None, ["sun", "rain", ""]):
        predicted = [*project.predict(given)]
        found = [*project.predict_proba(given)]
        assert [(number, max(shares, key=shares.get), max(shares.values())) for number, shares in found] == predicted
        assert all([*shares] == ["a", "b"] and sum(shares.values()) == pytest.approx(1) for _, shares in found)


@ON_BOTH
def test_a_text_is_explained_by_itself_by_its_text_id_or_by_its_external_id(database, open_project):
    project = open_project(database)
    rows = [(f"{'sun' if n % 2 else 'rain'} {n}", f"W-{n}") for n in range(8)] + [("sun and more sun", "2024000000000")]
    project.load_texts([{"text": text, "external_id": name} for text, name in rows])
    project.load_votes([(n + 1, ("b", "a")[n % 2], "ada") for n in range(8)])
    project.update(force=True)

    assert project.explain("sun 3") == project.explain(4) == project.explain("W-3")
    assert project.explain(2024000000000).text == "sun and more sun"
    assert project.texts([1, 9, 99]) == {1: "rain 0", 9: "sun and more sun"}
    assert project.explain("W-9").text == "W-9"
    for odd in ("sun\0", "sun \ud800", "sun " * 500):
        assert project.explain(odd).text == odd
    with pytest.raises(DataError, match="no text with text_id 99, and none with this external id"):
        project.explain(99)
