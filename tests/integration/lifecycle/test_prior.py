"""A start by meaning stays in training, with a small weight, and is nothing else than that."""

from __future__ import annotations

import numpy as np
import pytest

from al_learner.core import registry
from al_learner.core.interfaces import UsesWordVectors
from al_learner.core.training import fitting
from al_learner.core.training.cold_start import prior_weight
from al_learner.core.training.in_process_trainer import InProcessTrainer
from tests.support.strategies import BrokenPrior, BrokenSampler, ByName, Gated, TopicVectors, Weighed

N_TEXTS = 20
"""About the weather, with odd text_ids about rain and even ones about the sun. Two more are about snow."""

LABELS = ["rain", "sun"] * (N_TEXTS // 2)
"""Those of the prior."""

FEWER_THAN_TWO = "there is no prior, because texts are near to the meaning of fewer than two of these labels: {}{}. "
FEWER_THAN_TWO += "Descriptions say what labels mean (al-learner load labels, column description)"
AT_RANDOM = "; the first classifier is trained on random labels"


@pytest.fixture(params=["postgresql", "sqlite"])
def weather(request):
    tables = request.getfixturevalue(request.param)
    tables.add_texts(*(f"{word} number {i}" for i in range(N_TEXTS // 2) for word in ("rain", "sun")))
    tables.add_texts("snow at night", "snow by day")
    tables.add_labels("rain", "sun")
    return tables


@pytest.fixture(autouse=True)
def trainings(monkeypatch):
    monkeypatch.setattr(Weighed, "trainings", [])
    monkeypatch.setattr(ByName, "n_made", 0)
    return Weighed.trainings


@pytest.fixture
def open_weighed(weather, open_project):
    """Return a function that opens the project, by default with a classifier that remembers its weights."""
    chosen = {"classifier": Weighed(), "vectorizer": "tfidf", "init_sampler": ByName(), "batch_size": 2}
    return lambda **settings: open_project(weather, **{**chosen, **settings})


@pytest.fixture
def project(open_weighed):
    return open_weighed()


def vote(tables, *text_ids):
    for text_id in text_ids:
        tables.vote(text_id, ["sun", "rain"][text_id % 2])


def priors(tables):
    return tables.query("SELECT prior_id, texts FROM al_priors ORDER BY prior_id")


def test_the_first_classifier_is_trained_on_the_prior_and_text_data_stays_as_it_is(weather, project, trainings):
    before = weather.query("SELECT * FROM text_data")

    run = project.init().run

    assert (run.texts, run.classes) == (N_TEXTS, 2)
    assert run.prior == {"prior_id": 1, "weight": prior_weight(LABELS, 0), "texts": N_TEXTS}
    assert trainings == [(["rain", "sun"] * (N_TEXTS // 2), pytest.approx([prior_weight(LABELS, 0)] * N_TEXTS))]
    assert weather.query("SELECT * FROM text_data") == before
    assert project.read_state().aggregated.n_new == 0
    assert project.status().prior_share == 1


def test_texts_without_votes_stay_with_a_small_weight(weather, project, trainings):
    project.init()
    vote(weather, 1, 2)

    run = project.update().run

    assert (run.texts, run.new_samples) == (2, 2)
    labels, weights = trainings[1]
    assert labels == ["rain", "sun"] * (N_TEXTS // 2)
    assert weights == pytest.approx([1, 1, *[prior_weight(LABELS, 2)] * (N_TEXTS - 2)])
    assert run.prior == {"prior_id": 1, "weight": prior_weight(LABELS, 2), "texts": N_TEXTS - 2}
    share = prior_weight(LABELS, 2) * (N_TEXTS - 2)
    assert project.status().prior_share == pytest.approx(share / (share + 2))
    assert f"{project.status().prior_share:.1%} of it is the prior" in str(project.status())
    assert ByName.n_made == 1
    assert len(priors(weather)) == 1


def test_beside_votes_only_the_surest_texts_of_a_large_prior_stay(weather, project, trainings, monkeypatch):
    monkeypatch.setattr("al_learner.core.training.cold_start.MAX_TEXTS", 8)
    project.init()
    vote(weather, 1, 2)

    run = project.update().run

    assert run.prior == {"prior_id": 1, "weight": prior_weight(LABELS, 2), "texts": 8 - 2}
    assert [len(labels) for labels, _ in trainings[:2]] == [N_TEXTS, 8]


def test_a_new_prior_is_stored_whole_and_its_surest_texts_are_trained_on(weather, project, trainings, monkeypatch):
    monkeypatch.setattr("al_learner.core.training.cold_start.MAX_TEXTS", 8)
    vote(weather, 1, 2)

    run = project.update().run

    assert run.prior["texts"] == 8 - 2
    assert run.prior["weight"] == prior_weight(LABELS, 2)
    project.init(force=True, discard_votes=True)
    assert len(trainings[-1][0]) == N_TEXTS - 2, "nobody voted on the others"


def test_a_text_with_a_vote_is_in_no_prior_that_is_made_then(weather, open_weighed, trainings):
    project = open_weighed(min_label_count=2, exclude_labels=["ignored"], batch_size=3)
    weather.add_labels("ignored")
    weather.vote(1, "sun")  # it is about rain; two votes are needed
    weather.vote(3, "ignored")
    weather.vote(3, "ignored")

    assert project.init(discard_votes=True).run.prior["texts"] == N_TEXTS - 2
    assert trainings[-1][0] == LABELS[1:2] + LABELS[3:]

    weather.add_labels("snow")
    vote(weather, 2, 2, 4, 4, 5, 5)
    run = project.update(force=True).run
    assert run.prior["prior_id"] == 2
    assert run.prior["texts"] == N_TEXTS + 2 - 5
    assert max(len(labels) for labels, _ in trainings[1:]) == N_TEXTS + 2 - 2, "also where it is measured"


def test_the_first_classifier_is_random_if_people_voted_on_all_texts_of_a_label(weather, project, trainings):
    for text_id in range(1, N_TEXTS, 2):
        weather.vote(text_id, "rain")

    assert project.init(force=True, discard_votes=True).run.prior is None
    assert len(trainings[-1][0]) == 2


def test_the_weight_shrinks_as_votes_come():
    weights = [prior_weight(LABELS, n) for n in (0, 50, 1_000, 5_000)]

    assert weights == sorted(weights, reverse=True)
    assert weights[2] == weights[0] / 2


def test_the_texts_of_a_label_weigh_about_the_same_together_and_none_has_a_weight_that_was_not_tried():
    def weight(n_texts):
        return prior_weight(["sun", "rain"] * n_texts, 0)

    assert weight(20) * 20 == pytest.approx(weight(25) * 25)
    assert (weight(60), weight(1_000)) == (0.03, 0.03)
    assert (weight(1), weight(2)) == (0.1, 0.1)


def test_each_text_weighs_more_where_fewer_stay_beside_votes(monkeypatch):
    monkeypatch.setattr("al_learner.core.training.cold_start.MAX_TEXTS", 50)
    labels = ["sun", "rain"] * 50

    assert prior_weight(labels, 0) == 0.03
    assert prior_weight(labels, 1) == pytest.approx(prior_weight(labels[:50], 0), rel=2e-3)
    assert prior_weight(labels, 1) > 0.04


def test_a_text_leaves_the_prior_when_it_is_voted_on_also_with_too_few_votes(weather, open_weighed):
    project = open_weighed(min_label_count=2)
    project.init()
    vote(weather, 1, 1, 2, 2, 3)

    assert project.update().run.prior["texts"] == N_TEXTS - 3


def test_a_text_leaves_the_prior_when_its_content_changes_or_it_is_deleted(weather, project):
    project.init()
    weather.query("UPDATE text_data SET text_data = 'something else' WHERE text_id = 3")
    weather.query("DELETE FROM text_data WHERE text_id = 5")
    vote(weather, 1, 2)

    assert project.update().run.prior["texts"] == N_TEXTS - 4


def test_the_prior_makes_no_class_for_an_update(weather, project):
    project.init()
    vote(weather, 1, 3, 5)

    result = project.update(force=True)

    assert result.run is None
    assert "two different labels are needed" in result.reason


def test_a_label_that_only_the_prior_has_can_be_predicted(weather, project):
    weather.add_labels("snow")
    project.init()
    vote(weather, 1, 2)

    assert project.update().run.classes == 3


def test_nothing_is_measured_on_the_prior_and_the_hold_out_model_has_it_too(weather, project, trainings):
    project.init()
    vote(weather, *range(1, 15))

    run = project.update().run

    n_measured = run.metrics["size"]
    assert 0 < n_measured < 14
    assert run.metrics["prior_id"] == 1
    labels, weights = trainings[-1]
    assert len(labels) == 14 - n_measured + N_TEXTS - 14
    assert weights.count(pytest.approx(prior_weight(LABELS, 14))) == N_TEXTS - 14


def test_candidates_are_trained_with_the_prior_and_compared_on_labelled_texts_alone(weather, open_weighed, monkeypatch):
    n_compared, weights = [], []
    fit, losses = fitting.fit_classifier, InProcessTrainer.losses

    def noted_fit(*rows, sample_weight, **others):
        weights.append(sample_weight)
        return fit(*rows, sample_weight=sample_weight, **others)

    def noted_losses(trainer, job):
        with monkeypatch.context() as patch:
            patch.setattr(fitting, "fit_classifier", noted_fit)
            found = losses(trainer, job)
        n_compared.append(len(found))
        return found

    monkeypatch.setattr(InProcessTrainer, "losses", noted_losses)
    chosen = {"classifier": "auto", "classifier_params": {"candidates": ["complement-nb", "logreg"], "min_labels": 6}}
    project = open_weighed(**chosen)
    project.init()
    vote(weather, *range(1, 9))

    run = project.update().run

    assert run.prior["texts"] == N_TEXTS - 8
    assert run.choice["labels"] == 8
    assert run.choice["failed"] == {}
    assert {*run.choice["losses"]} == {"complement-nb", "logreg"}
    assert n_compared == [8, 8]
    assert weights
    assert {np.count_nonzero(given < 1) for given in weights} == {N_TEXTS - 8}


@pytest.mark.parametrize("change", ["label", "description", "excluded", "vectorizer"])
def test_a_prior_is_made_anew_when_what_it_depends_on_changes(weather, project, open_weighed, change):
    if change == "excluded":
        weather.add_labels("snow")
    project.init()
    settings = {}
    match change:
        case "label":
            weather.add_labels("snow")
        case "description":
            weather.query("INSERT INTO al_labels VALUES ('sun', 'snow')")
        case "excluded":
            settings = {"exclude_labels": ["snow"]}
        case "vectorizer":
            settings = {"vectorizer": "count"}
    again = open_weighed(**settings)
    vote(weather, 1, 2)

    assert again.update().run.prior["prior_id"] == 2
    vote(weather, 3, 4)
    assert again.update().run.prior["prior_id"] == 2
    assert ByName.n_made == 2


def test_labels_without_meaning_have_no_prior_and_it_is_not_tried_at_every_update(weather, open_weighed, trainings):
    weather.query("UPDATE labels SET label = 'A' WHERE label = 'rain'")
    project = open_weighed()
    project.init()
    assert trainings[0][1] is None
    for pair in ((1, 2), (3, 4)):
        vote(weather, *pair)
        run = project.update().run

    assert run.prior is None
    assert project.status().prior_share is None
    assert ByName.n_made == 1


def test_the_log_names_the_labels_without_texts_once_for_each_prior(weather, project, logged):
    weather.add_labels("ignored", "0", "A1")
    project.init()
    vote(weather, 1, 2)
    project.update()

    assert [told["note"] for told in logged.named("run.note")] == [
        "no text is near to the meaning of these labels, so the prior has none of them: '0', 'A1'"
    ]


def test_the_log_says_that_there_is_no_prior(weather, project, logged):
    weather.query("UPDATE labels SET label = 'A' WHERE label = 'rain'")
    project.init()

    assert [told["note"] for told in logged.named("run.note")] == [FEWER_THAN_TWO.format("'A', 'sun'", AT_RANDOM)]


def test_the_log_does_not_blame_labels_that_say_enough_if_no_text_is_near_to_them(weather, project, logged):
    weather.query("DELETE FROM text_data WHERE text_data NOT LIKE 'snow%'")
    project.init()

    assert [told["note"] for told in logged.named("run.note")] == [FEWER_THAN_TWO.format("'rain', 'sun'", AT_RANDOM)]


def test_the_log_of_an_update_without_a_prior_says_nothing_of_random_labels(weather, project, logged):
    weather.query("UPDATE labels SET label = 'A' WHERE label = 'rain'")
    vote(weather, 1, 2)
    project.update()

    assert [told["note"] for told in logged.named("run.note")] == [FEWER_THAN_TWO.format("'A', 'sun'", "")]


def test_a_sampler_that_makes_no_priors_is_not_asked_for_its_reasons(open_weighed, logged):
    open_weighed(init_sampler="balanced").init()

    assert logged.named("run.note") == []


def test_prelabelled_texts_need_no_prior(weather, project):
    weather.add_init_data(("rain again", "rain"), ("sun again", "sun"))
    assert project.init().run.prior is None
    vote(weather, 1, 2)

    assert project.update().run.prior is None
    assert priors(weather) == []


def test_a_classifier_that_cannot_weigh_rows_starts_with_the_prior_and_goes_on_without(weather, open_weighed):
    project = open_weighed(classifier=Gated())
    assert project.init().run.texts == N_TEXTS
    vote(weather, 1, 2)
    weather.add_labels("snow")  # so that the prior would be made anew

    run = project.update().run

    assert (run.texts, run.classes, run.prior) == (2, 2, None)
    assert ByName.n_made == 1


def test_an_update_goes_on_without_a_prior_that_cannot_be_made(weather, open_weighed, logged):
    vote(weather, 1, 2)
    project = open_weighed(init_sampler=BrokenPrior())

    assert project.update().run.prior is None
    [note] = logged.named("run.note")
    assert "this run has no prior" in note["note"]
    assert "RuntimeError: no luck" in note["note"]


def test_a_promoted_copy_has_the_prior_of_the_model(weather, project):
    first = project.init().run
    vote(weather, 1, 2)
    project.update()

    assert project.promote(first.clf_id).run.prior == first.prior


def test_two_classifiers_with_different_priors_can_be_compared_and_it_is_said(weather, project):
    project.init()
    vote(weather, *range(1, 15))
    first = project.update().run
    weather.add_labels("snow")
    vote(weather, 15, 16)
    second = project.update().run

    said = str(project.compare(first.clf_id, second.clf_id))

    assert said.endswith(
        f"their priors are different: classifier {first.clf_id} has prior 1, classifier {second.clf_id} has prior 2"
    )


class Informed(UsesWordVectors, ByName):
    """Names a source of word vectors."""

    source: str = "topics"


def test_the_source_of_a_new_prior_is_recorded_with_its_run(weather, open_weighed, monkeypatch):
    monkeypatch.setattr(registry, "word_vectors", lambda _source: TopicVectors())
    project = open_weighed(init_sampler=Informed())
    first = project.init().run
    vote(weather, 1, 2)
    second = project.update().run

    assert first.versions["word vectors topics"] == TopicVectors().digest()
    assert second.prior["prior_id"] == first.prior["prior_id"]
    assert "word vectors topics" not in second.versions


def test_a_workers_score_has_the_prior_of_its_run_with_its_weight(weather, project, trainings):
    project.init()
    vote(weather, *range(1, 15))
    assert project.reconcile().due == "update"
    trainings.clear()

    assert project.reconcile().due == "score"

    newest = project.read_state().newest
    assert project._storage.runs.last(clf_id=newest.clf_id, detailed=True).metrics["prior_id"] == 1
    [(_, weights)] = trainings
    assert weights.count(pytest.approx(prior_weight(LABELS, 14))) == N_TEXTS - 14


def test_a_sampler_that_knows_no_prior_starts_as_ever(open_weighed, trainings):
    project = open_weighed(init_sampler="balanced")
    assert project.init().run.prior is None
    assert trainings == [(trainings[0][0], None)]
    assert BrokenSampler().prior([], {}, None) is None
