"""Scenario 5: several workers on one database."""

from __future__ import annotations

from contextlib import ExitStack, closing

from al_learner import Project
from al_learner.core.storage.database import Database
from al_learner.core.storage.migrations.upgrade import upgrade_runs
from al_learner.core.storage.run_lock import hold_run_lock
from al_learner.core.storage.runs import Runs
from tests.conftest import FAST
from tests.support.faults_servers import LOCKED, terminate
from tests.support.waiting import wait_until

N_WORKERS = 4
N_SUCCESSES = 6
N_LOCKS = 200


def test_several_workers_share_the_runs_and_survive_the_loss_of_a_lock(open_stage):
    stage = open_stage(n_texts=200).fill()
    stage.settings |= stage.staged()
    stage.predictor.start()
    with ExitStack() as stack:
        workers = [stack.enter_context(stage.worker()) for _ in range(N_WORKERS)]
        for worker in workers:
            worker.wait_for("redis.subscribed")
        wait_until(lambda: is_scored(stage), "the first run")
        stage.director.forget()
        stage.director.order("hold")
        stage.vote()
        fitting = stage.wait_until_fitting()
        assert terminate(stage.postgres, stage.database, LOCKED) == 1
        stage.wait_until_fitting(but=[fitting])  # another worker took over, while the first one still fits
        stage.director.order("")
        stage.voters.start()
        wait_until(lambda: len(succeeded(stage)) >= N_SUCCESSES, "more runs")
        stage.voters.stop()
        stage.assert_well()
        assert all(worker.process.poll() is None for worker in workers)

    assert {status for _, status in stage.runs()} == {"succeeded", "died"}
    assert len(stage.query("SELECT DISTINCT owner FROM al_runs")) > 1


def test_a_lock_that_was_given_back_can_be_taken_at_once(open_stage):
    stage = open_stage()
    database = Database(stage.postgres.url(stage.database).replace("postgresql:", "postgresql+psycopg:"))
    runs = Runs(database)
    upgrade_runs(runs._database)

    for _ in range(N_LOCKS):  # as often as a look must not be turned away by the look before it
        with hold_run_lock(runs._database):
            pass
    database.close()


def test_an_announcement_does_not_count_for_a_classifier_that_was_stored_after_it(open_stage, monkeypatch):
    stage = open_stage().fill()
    stage.predictor.start()
    stage.predictor.wait_for("subscribed")
    options = {**FAST, "redis_host": "127.0.0.1", "redis_port": stage.redis.port}
    url = stage.postgres.url(stage.database)
    with closing(Project(url, **options)) as ours, closing(Project(url, **options)) as other:
        ours.reconcile()
        publish = ours._channels.announce

        def publish_before_another_commits() -> int:
            heard = publish()
            stage.vote()
            other.reconcile()
            return heard

        monkeypatch.setattr(ours._channels, "announce", publish_before_another_commits)
        monkeypatch.setattr(other._channels, "announce", lambda: 0)  # it is killed before it gets there
        assert ours.announce() == 1
        assert stage.value("SELECT announced FROM al_runs ORDER BY run_id DESC LIMIT 1") is None

    with stage.worker():
        stage.assert_well()


def succeeded(stage):
    return [run for run in stage.runs() if run[1] == "succeeded"]


def is_scored(stage):
    return stage.has_runs() and stage.query("SELECT run_id FROM al_runs WHERE metrics IS NOT NULL")


def test_of_two_workers_with_different_settings_the_older_one_rests(open_stage):
    """As in a rolling update: both run for a while, then the older one is stopped."""
    stage = open_stage(n_texts=200).fill()
    stage.predictor.start()
    stage.vote(20)
    with stage.worker(BATCH_SIZE=20) as older:
        older.wait_for("run.scored")
        with stage.worker(BATCH_SIZE=5, AL_LEARNER_GATE="off") as newer:
            newer.wait_for("reconcile.idle")  # it has registered
            stage.vote(60)
            reason = older.wait_for("worker.superseded")["reason"]
            newer.wait_for("run.scored")
            assert 'batch_size is 20 here and 5 there; gate is "warn" here and "off" there' in reason
            owners = stage.query("SELECT owner FROM al_runs WHERE run_id > 1")
            assert {owner.endswith(f":{newer.process.pid}") for (owner,) in owners} == {True}
            older.process.terminate()
            assert older.wait() == 0
    assert stage.value("SELECT count(*) FROM al_runs") <= 3


def test_two_installations_with_other_defaults_begin_at_once_and_do_not_contend(open_stage):
    """Both have read the new project before either has begun it; then the one that began it is stopped."""
    stage = open_stage(n_texts=200)
    for name in ("AL_LEARNER_VECTORIZER", "AL_LEARNER_INIT_SAMPLER"):
        del stage.settings[name]
    stage.predictor.start()
    other = (*stage.command[:-1], "tests.support.other_installation")
    with (
        stage.worker() as ours,
        stage.worker(started=other, OTHER_VECTORIZER="count") as theirs,
    ):
        for worker in (ours, theirs):
            worker.wait_for("reconcile.idle")
        stage.fill()
        wait_until(lambda: is_scored(stage), "the first run")
        stage.vote()
        wait_until(lambda: len(succeeded(stage)) == 2, "a run on votes")
        began = stage.value("SELECT owner FROM al_runs WHERE run_id = 1")
        first, second = (ours, theirs) if began.endswith(f":{ours.pid}") else (theirs, ours)
        first.terminate()
        assert first.wait() == 0
        stage.vote()
        wait_until(lambda: len(succeeded(stage)) == 3, "a run of the other installation")
        stage.assert_well()

    assert stage.value("SELECT owner FROM al_runs ORDER BY run_id DESC LIMIT 1").endswith(f":{second.pid}")
    used = stage.query("SELECT DISTINCT strategies -> 'vectorizer' ->> 'name', countvec_id FROM al_runs")
    assert used == [("words-and-meaning" if first is ours else "count", 1)]
    for worker in (ours, theirs):
        assert not worker.logged("worker.superseded")
        assert not worker.logged("vectorizer.refitted")
