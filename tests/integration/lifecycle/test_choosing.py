"""A classifier that chooses among others: when it does, what is recorded, and what it costs the runs."""

from __future__ import annotations

import pickle
from functools import partial

import pytest

from al_learner import Project, strategy
from al_learner.core.configuration.settings import Settings
from al_learner.core.labels.aggregation import winners
from al_learner.core.training.compute import Compute
from al_learner.core.training.subprocess_trainer import SubprocessTrainer
from al_learner.plugins.classifiers.sgd import Sgd
from tests.support.corpora import add_weather
from tests.support.strategies import DeadlySelector, InterruptedSelector, Prefers
from tests.support.tables import ON_BOTH
from tests.support.waiting import DEADLINE_S

PREFERS = {"classifier": Prefers(min_labels=10)}


@pytest.fixture
def vote(database):
    """Return a function that adds texts with a vote each, of labels a and b."""

    def add(n_texts):
        add_weather(database, n_texts)

    return add


def dues(project):
    """Do everything that is due; return what it was."""
    done = []
    while (due := project.reconcile().due) is not None:
        done.append(due)
    return done


def newest_estimator(tables):
    return type(pickle.loads(tables.value("SELECT clf FROM classifiers ORDER BY clf_id DESC LIMIT 1"))[-1]).__name__


@ON_BOTH
def test_it_selects_last_of_all_and_the_next_update_trains_the_winner(database, vote, open_project):
    vote(10)
    project = open_project(database, **PREFERS)

    assert dues(project) == ["update", "score", "choose"]
    assert newest_estimator(database) == "ComplementNB"
    choice = project.read_state().choice
    assert (choice.name, choice.labels, choice.losses) == ("sgd", 10, {"complement-nb": 1.0, "sgd": 0.0})

    project.update(force=True)

    assert newest_estimator(database) == "SGDClassifier"
    trained = [run.strategies["classifier"]["chosen"]["name"] for run in project._storage.runs.recent()]
    assert trained == ["sgd", "complement-nb"]


@ON_BOTH
def test_it_selects_again_only_when_the_labels_have_grown_by_half(database, vote, open_project):
    vote(20)
    project = open_project(database, batch_size=1, **PREFERS)
    seen = [dues(project)]
    for n_votes in (9, 1, 14, 1):
        vote(n_votes)
        seen.append(dues(project))

    without, chosen = ["update", "score"], ["update", "score", "choose"]
    assert seen == [chosen, without, chosen, without, chosen]
    assert [run.choice["labels"] for run in project._storage.runs.recent() if run.choice] == [45, 30, 20]


def test_below_the_labels_that_it_needs_it_does_not_select(database, vote, open_project):
    vote(9)
    project = open_project(database, batch_size=1, **PREFERS)

    assert dues(project) == ["update", "score"]
    vote(1)
    assert dues(project) == ["update", "score", "choose"]


def test_by_hand_it_selects_too(database, vote, open_project):
    vote(10)
    project = open_project(database, **PREFERS)

    project.update()

    assert project.read_state().choice.name == "sgd"
    assert dues(project) == []


def test_random_labels_are_not_used_to_select(database, open_project):
    database.add_texts(*(f"text {number}" for number in range(20)))
    database.add_labels("a", "b")
    project = open_project(database, batch_size=20, **PREFERS)

    assert dues(project) == ["init", "score"]
    project.init(force=True)
    assert project.read_state().choice is None


def test_prelabelled_data_is_enough_to_select(database, open_project):
    database.add_labels("a", "b")
    database.add_init_data(*((f"text {number}", "ab"[number % 2]) for number in range(20)))

    assert dues(open_project(database, **PREFERS)) == ["init", "score", "choose"]


def test_with_other_candidates_it_selects_again(database, vote, open_project):
    vote(10)
    dues(open_project(database, **PREFERS))

    assert dues(open_project(database, **PREFERS)) == []
    others = Prefers(min_labels=10, candidates=("complement-nb", "logreg"), winner="LogisticRegression")
    project = open_project(database, classifier=others)
    assert dues(project) == ["choose"]
    assert project.read_state().choice.name == "logreg"


def test_a_candidate_may_have_parameters_and_is_trained_with_them(database, vote, open_project):
    vote(10)
    listed = ("complement-nb", "logreg(C=3)")
    project = open_project(database, classifier=Prefers(min_labels=10, candidates=listed, winner="LogisticRegression"))
    dues(project)

    project.update(force=True)

    newest = project._storage.runs.recent()[0].strategies["classifier"]["chosen"]
    assert (project.read_state().choice.name, newest["name"], newest["params"]["C"]) == ("logreg(C=3)", "logreg", 3)


def test_a_candidate_that_fails_is_left_out_and_named(database, vote, open_project, monkeypatch, logged):
    def fail(*_):
        raise RuntimeError("no luck")

    vote(10)
    project = open_project(database, **PREFERS)
    monkeypatch.setattr(Sgd, "fit", fail)

    assert dues(project) == ["update", "score", "choose"]
    choice = project.read_state().choice
    assert choice.name == "complement-nb"
    assert "no luck" in choice.failed["sgd"]
    assert [fields["candidate"] for fields in logged.named("choice.candidate_failed")] == ["sgd"]
    assert [run.status for run in project._storage.runs.recent()] == ["succeeded"]


def test_when_every_candidate_fails_it_keeps_what_it_has_and_does_not_try_again(
    database, vote, open_project, monkeypatch
):
    vote(10)
    project = open_project(database, batch_size=1, **PREFERS)
    assert dues(project) == ["update", "score", "choose"]

    def fail(*_):
        raise RuntimeError("no luck")

    monkeypatch.setattr(Prefers, "losses", fail)
    vote(5)

    assert dues(project) == ["update", "score", "choose"]
    choice = project.read_state().choice
    assert (choice.name, choice.losses, {*choice.failed}) == ("sgd", {}, {"complement-nb", "sgd"})


@ON_BOTH
def test_a_candidate_that_ends_the_training_process_is_left_out(database, vote):
    vote(10)
    settings = Settings(database_url=database.url, classifier=DeadlySelector(min_labels=10))
    trainer = SubprocessTrainer(settings.database, timeout_s=DEADLINE_S)
    winners_of = partial(winners, settings.strategies.label_aggregator)
    project = Project.of(settings, compute=Compute(trainer, winners_of))

    assert dues(project) == ["update", "score", "choose"]
    choice = project.read_state().choice
    assert choice.losses == {"complement-nb": 1.0}
    assert "ended by itself, with exit code 3" in choice.failed["sgd"]
    project.close()
    trainer.close()


def test_a_selection_that_is_interrupted_is_made_up_for(database, vote, open_project):
    vote(10)
    project = open_project(database, classifier=InterruptedSelector(min_labels=10))
    project.reconcile()
    project.reconcile()
    with pytest.raises(KeyboardInterrupt):
        project.reconcile()
    assert (project.read_state().choice, [run.status for run in project._storage.runs.recent()]) == (
        None,
        ["succeeded"],
    )

    assert dues(open_project(database, **PREFERS)) == ["choose"]


def test_an_update_does_the_same_job_as_with_the_winner_alone(database, vote, open_project):
    """So it costs as much: it starts from the last model too."""
    vote(12)
    chooser = Prefers(candidates=("complement-nb", "logreg"), winner="LogisticRegression", min_labels=10)
    project = open_project(database, classifier=chooser, batch_size=1)
    dues(project)
    vote(1)
    dues(project)
    vote(1)
    look = project.read_state()
    job = project._lifecycle._jobs.new("update", look)

    alone = open_project(database, classifier="logreg", batch_size=1).read_state()
    assert job.classifier.name == "logreg"
    assert job.classifier.params == alone.specs["classifier"]["params"]
    assert job.last == (2, look.newest.clf_sha256)


def test_auto_shows_what_it_selected(database, vote, open_project):
    vote(40)
    auto = strategy("classifier", "auto", candidates=("complement-nb", "logreg"), min_labels=20)
    project = open_project(database, classifier=auto)
    assert project.status().classifier == "auto (complement-nb)"
    dues(project)

    status = project.status()
    assert status.classifier == f"auto ({status.choice.name})"
    assert {*status.choice.losses} == {"complement-nb", "logreg"}
    assert str(status.choice).startswith(f"{status.choice.name}, at 40 labels; mean loss: ")
