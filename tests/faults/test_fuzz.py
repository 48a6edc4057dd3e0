"""Scenario 9, votes: whatever the arrays hold, labels and `taught` become what a model of ten lines says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from al_learner import Project
from tests.support.faults_model import VOTED as ROWS
from tests.support.faults_model import Row, countable
from tests.support.strategies import Gate, Gated

N_TEXTS = 6
BATCH_SIZE = 2

USUAL = st.sampled_from(["a", "b", "ignored"])
ODD = st.sampled_from(["", None, " a", "A", "l" * 50, "l" * 51, "é" * 50, "é" * 51])
ANY = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
LABEL = st.one_of(USUAL, USUAL, USUAL, ODD, ANY)
USER = st.sampled_from(["anna", "ben", "", None])
TEXT = st.integers(1, N_TEXTS)
VOTED = st.lists(LABEL, min_size=1, max_size=5)
ARRAY = st.one_of(VOTED, VOTED, VOTED, st.none(), st.just([]))
VOTE = st.tuples(TEXT, LABEL, USER)

Step = Callable[["Game"], object]
STEPS = st.one_of(
    st.builds(lambda *vote: lambda game: game.append(*vote), TEXT, LABEL, USER),
    st.builds(lambda *row: lambda game: game.overwrite(*row), TEXT, ARRAY, st.none() | st.lists(USER, max_size=7)),
    st.builds(lambda votes: lambda game: game.act(votes), st.lists(VOTE, max_size=4)),
)


class Game:
    """The project, and the model beside it: rows as they must be."""

    def __init__(self, stage: Any, project: Project, min_label_count: int) -> None:
        self._stage, self._project, self._min_label_count = stage, project, min_label_count
        self.rows: dict[int, Row] = {n: (n, None, None, False) for n in range(1, N_TEXTS + 1)}

    def append(self, text_id: int, label: str | None, user: str | None) -> None:
        """Vote as the API does."""
        self._stage.query(
            "UPDATE text_data SET labels = array_append(labels, %s), users = array_append(users, %s)"
            " WHERE text_id = %s", label, user, text_id,
        )  # fmt: skip
        _, labels, major, taught = self.rows[text_id]
        self.rows[text_id] = (text_id, [*(labels or ()), label], major, taught)

    def overwrite(self, text_id: int, labels: list[str | None] | None, users: list[str | None] | None) -> None:
        """Leave anything at all, also fewer votes than before."""
        self._stage.query("UPDATE text_data SET labels = %s, users = %s WHERE text_id = %s", labels, users, text_id)
        self.rows[text_id] = (text_id, labels, *self.rows[text_id][2:])

    def act(self, votes: list[tuple[int, str | None, str | None]]) -> None:
        """Do what is due until nothing is; `votes` come while the first run trains."""
        waiting = list(votes)

        def vote() -> None:
            while waiting:
                self.append(*waiting.pop(0))

        while self._is_due():
            new = {text_id: label for text_id, label, is_new in self._countable() if is_new}
            for text_id, label in new.items():
                self.rows[text_id] = (*self.rows[text_id][:2], label, False)
            known = [text_id for text_id, row in self.rows.items() if row[2] is not None]
            Gate.while_it_trains = staticmethod(vote)
            assert self._project.reconcile().due == "update"
            for text_id in known:
                self.rows[text_id] = (*self.rows[text_id][:3], True)
        look = self._project.reconcile()
        if look.due == "score":
            look = self._project.reconcile()
        assert look.due is None
        assert look.facts.new_samples == sum(is_new for *_, is_new in self._countable())

    def assert_equal(self) -> None:
        assert self._stage.query(ROWS) == [*self.rows.values()]

    def _countable(self) -> list[tuple[int, str, bool]]:
        return [*countable(self.rows.values(), self._min_label_count)]

    def _is_due(self) -> bool:
        labels = {row[0]: row[2] for row in self.rows.values() if row[2] is not None}
        labels |= {text_id: label for text_id, label, _ in self._countable()}
        return len({*labels.values()}) > 1 and sum(is_new for *_, is_new in self._countable()) >= BATCH_SIZE


@pytest.fixture
def stage(open_stage):
    stage = open_stage()
    with stage.connected():
        yield stage


@pytest.fixture(params=[1, 2])
def project(request, stage):
    project = Project(
        stage.postgres.url(stage.database),
        batch_size=BATCH_SIZE,
        min_label_count=request.param,
        classifier=Gated(),
        vectorizer="tfidf",
        init_sampler="balanced",
    )
    yield project
    project.close()
    Gate.while_it_trains = staticmethod(lambda: None)


@settings(
    max_examples=20,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(arrays=st.lists(ARRAY, min_size=N_TEXTS, max_size=N_TEXTS), steps=st.lists(STEPS, min_size=4, max_size=20))
def test_labels_become_what_the_votes_say_whatever_they_are(stage, project, arrays, steps):
    stage.query("TRUNCATE text_data, classifiers, countvecs RESTART IDENTITY")
    if stage.has_runs():
        stage.query("TRUNCATE al_runs RESTART IDENTITY")
    stage.query(
        "INSERT INTO text_data (text_data, labeled, selected, taught)"
        " SELECT 'text ' || n, false, false, false FROM generate_series(1, %s) AS n ORDER BY n", N_TEXTS,
    )  # fmt: skip
    game = Game(stage, project, project.settings.min_label_count)
    for text_id, labels in enumerate(arrays, start=1):
        game.overwrite(text_id, labels, None)
    for step in steps:
        step(game)
    game.act([])
    game.assert_equal()
