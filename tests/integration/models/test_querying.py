"""The texts to label next, from both databases."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from pydantic import PrivateAttr

from al_learner import QueryStrategy, strategy
from al_learner.core.errors import DataError, PluginError, SettingsError
from al_learner.core.models import querying
from al_learner.core.models.querying import QueriedText
from al_learner.core.storage.records import MAX_LABEL_LENGTH
from al_learner.core.training.fitting import transform
from tests.support.corpora import add_weather
from tests.support.tables import ON_BOTH

NAMES = ("diverse", "entropy", "least-confidence", "margin", "random")


@pytest.fixture
def project(database, open_project):
    """A project with a classifier of 12 texts that have votes, and 60 texts without."""
    add_weather(database, 12)
    rain = [number * 7 % 60 // 2 for number in range(60)]  # each number twice, in a mixed order
    database.add_texts(*(f"{'rain ' * n}{'sun ' * (30 - n)}{number}" for number, n in enumerate(rain)))
    project = open_project(database)
    project.update()
    return project


def ids(found):
    return [text.text_id for text in found]


@ON_BOTH
def test_the_texts_come_with_what_the_classifier_predicts_and_nothing_is_written(project, database):
    odd = "SELECT text_id, 'number ' || text_id FROM text_data WHERE text_id % 2 = 1"
    database.query(f"INSERT INTO al_external_ids {odd}")
    before = database.content()

    found = project.query(60)

    assert database.content() == before
    assert len(found) == 60
    predicted = {prediction.number: prediction for prediction in project.predict()}
    for text in found:
        label, probability = predicted[text.text_id].label, predicted[text.text_id].probability
        external_id = f"number {text.text_id}" if text.text_id % 2 else None
        wording = database.text(text.text_id, "text_data")[0]
        assert text == QueriedText(text.text_id, external_id, wording, label, probability, 1 - probability)
    assert ids(found) == ids(sorted(found, key=lambda text: (text.probability, text.text_id)))
    assert project.query(3) == found[:3]


@ON_BOTH
def test_only_texts_without_votes_that_are_not_blank_are_returned(project, database):
    database.add_text("voted", labels=["a"])
    database.add_text("among other entries", labels=[None, "", "a"])
    database.add_text("voted with the longest label", labels=["x" * MAX_LABEL_LENGTH])
    blank = ["", " \n", "\u3000"]
    database.add_texts(*blank)
    without = [
        database.add_text("null", labels=None),
        database.add_text("entries that are not votes", labels=[None, ""], users=["anna", "ben"]),
        database.add_text("too long a label", labels=["x" * (MAX_LABEL_LENGTH + 1)]),
        database.add_text("its votes were deleted", labels=[], major_label="a"),
    ]

    assert sorted(ids(project.query(1_000))) == [*range(13, 73), *without]
    for name in NAMES:
        assert len(project.query(1_000, strategy=name)) == 64


def test_when_every_text_has_votes_there_is_nothing_to_label(database, open_project):
    add_weather(database, 12)
    project = open_project(database)
    project.update()

    assert project.query(5) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 3])
def test_a_project_that_is_read_in_parts_gives_the_texts_that_a_whole_one_gives(project, monkeypatch, name, size):
    whole = project.query(size, strategy=name, seed=0)
    monkeypatch.setattr(querying, "CHUNK", 7)
    monkeypatch.setattr(querying, "N_CANDIDATES", 10)

    in_parts = project.query(size, strategy=name, seed=0)

    assert len(in_parts) == size
    if name != "random":  # another number of random numbers is drawn
        assert in_parts == whole


def test_in_parts_every_text_is_as_likely_to_be_random_as_any_other(project, monkeypatch):
    monkeypatch.setattr(querying, "CHUNK", 7)
    monkeypatch.setattr(querying, "N_CANDIDATES", 10)

    n = Counter(text_id for seed in range(200) for text_id in ids(project.query(1, strategy="random", seed=seed)))

    assert len(n) > 50
    assert 70 <= sum(n[text_id] for text_id in range(13, 43)) <= 130  # of 200; 100 are expected


class Recording(QueryStrategy):
    """Remembers the highest probability of each text that it was given."""

    _scored: list[int] = PrivateAttr(default_factory=list)
    _given: list[list[float]] = PrivateAttr(default_factory=list)

    def scores(self, probabilities, rng):
        del rng
        self._scored.append(len(probabilities))
        return -probabilities.max(axis=1)

    def query(self, probabilities, X, size, rng):
        del rng
        assert X.shape[0] == len(probabilities)
        self._given.append(probabilities.max(axis=1).tolist())
        return np.arange(size)


def test_only_so_many_texts_are_kept_as_candidates(project, monkeypatch):
    monkeypatch.setattr(querying, "CHUNK", 7)
    monkeypatch.setattr(querying, "N_CANDIDATES", 20)
    kept = []
    best = querying._best
    monkeypatch.setattr(
        querying, "_best", lambda parts, n: kept.append(sum(len(p.ids) for p in parts)) or best(parts, n)
    )
    recording, told = Recording(), []

    project.query(2, strategy=recording, progress=told.append)
    assert 20 < max(kept) < 2 * 20 + 7 < 60
    project.query(3, strategy=recording)

    assert recording._scored == [7, 7, 7, 7, 7, 7, 7, 7, 4] * 2
    assert [len(given) for given in recording._given] == [20, 30]
    assert told == [7, 14, 21, 28, 35, 42, 49, 56, 60]


def test_a_strategy_is_given_by_name_with_parameters_or_as_an_object(project):
    by_name = project.query(4, strategy="diverse(candidates_per_text=3)", seed=1)
    assert by_name == project.query(4, strategy=strategy("query_strategy", "diverse", candidates_per_text=3), seed=1)


def test_the_seed_decides_what_is_random(project):
    batches = [ids(project.query(5, strategy="random", seed=seed)) for seed in (1, 1, 2)]
    assert batches[0] == batches[1] != batches[2]
    assert len({tuple(ids(project.query(5, strategy="random"))) for _ in range(5)}) > 1


def test_an_older_classifier_can_be_asked(project):
    project.query(1)
    transformer, classifier = project.load_model(1)
    project.load_votes([(13, "b"), (14, "a")])
    project.update(force=True)

    found = project.query(60, clf_id=1)

    X = transform(transformer, [text.text for text in found])
    assert [text.probability for text in found] == pytest.approx(classifier.predict_proba(X).max(axis=1))
    assert found != project.query(60)
    with pytest.raises(DataError, match="there is no classifier 9: `al-learner models`"):
        project.query(1, clf_id=9)


def test_without_a_classifier_it_says_what_to_do(database, open_project):
    database.add_texts("rain", "sun")
    with pytest.raises(DataError, match="there is no classifier yet: run `al-learner init`"):
        open_project(database).query(1)


@ON_BOTH
def test_a_text_that_is_deleted_meanwhile_is_left_out(project, database):
    found = project.query(60, progress=lambda _: database.query("DELETE FROM text_data WHERE text_id = 20"))

    assert sorted(ids(found)) == [text_id for text_id in range(13, 73) if text_id != 20]


class Faulty(QueryStrategy):
    """Does wrong whatever its name says."""

    how: str = "no luck"

    def scores(self, probabilities, rng):
        if self.how == "raises":
            raise RuntimeError(f"no luck with {len(probabilities)} texts")
        return rng.random(len(probabilities) - (self.how == "a score too few")) / (self.how != "infinite scores")

    def query(self, probabilities, X, size, rng):
        rows = super().query(probabilities, X, size, rng)
        wrong = {"a text too few": rows[1:], "a text twice": rows[[0, 0, 1]], "outside": rows + 60, "floats": rows / 1}
        return wrong.get(self.how, rows)


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raises", "failed: RuntimeError: no luck with 60 texts"),
        ("a score too few", "must return 60 finite scores"),
        ("infinite scores", "must return 60 finite scores"),
        ("a text too few", "must return 3 different positions from 0 to 59"),
        ("a text twice", "must return 3 different positions from 0 to 59"),
        ("outside", "must return 3 different positions from 0 to 59"),
        ("floats", "must return 3 different positions from 0 to 59"),
    ],
)
def test_what_a_strategy_of_others_does_wrong_is_an_error_that_names_it(project, how, said):
    with pytest.raises(PluginError, match=f"query_strategy Faulty.how='{how}'. {said}"):
        project.query(3, strategy=Faulty(how=how))


def test_wrong_arguments_are_reported_before_anything_is_read(open_project, sqlite):
    project = open_project(sqlite)
    with pytest.raises(SettingsError) as caught:
        project.query(0, seed=-1)
    assert caught.value.problems == ("size = 0: must be at least 1", "seed = -1: must be at least 0")
    with pytest.raises(SettingsError, match="query_strategy 'margn' is unknown; did you mean 'margin'"):
        project.query(1, strategy="margn")
    with pytest.raises(SettingsError, match="has no parameter 'k'; allowed: candidates_per_text, n_components"):
        project.query(1, strategy="diverse(k=2)")
    with pytest.raises(SettingsError, match="is not a query strategy"):
        project.query(1, strategy=strategy("classifier", "logreg"))


def test_the_candidates_are_those_with_the_highest_scores_in_the_order_of_the_project(project, monkeypatch):
    least_sure = sorted(project.query(60), key=lambda text: (text.probability, text.text_id))[:10]
    expected = [text.probability for text in sorted(least_sure, key=lambda text: text.text_id)]
    monkeypatch.setattr(querying, "CHUNK", 7)
    monkeypatch.setattr(querying, "N_CANDIDATES", 10)
    recording = Recording()

    project.query(1, strategy=recording)

    [given] = recording._given
    assert given == expected
    assert given != sorted(given)
