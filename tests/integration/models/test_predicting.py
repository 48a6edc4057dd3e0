"""Predictions with a stored classifier."""

from __future__ import annotations

import pytest

from al_learner.core.errors import DataError


def test_a_classifier_with_the_id_0_is_not_the_newest(database, open_project):
    for number in range(12):
        database.add_text(f"text {number} {'sun' if number % 2 else 'rain'}", labels=["ab"[number % 2]])
    project = open_project(database)
    project.update()

    assert len([*project.predict()]) == 12
    with pytest.raises(DataError, match="there is no clf_id 0"):
        next(project.predict(clf_id=0))
