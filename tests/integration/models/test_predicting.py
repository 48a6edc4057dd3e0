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
