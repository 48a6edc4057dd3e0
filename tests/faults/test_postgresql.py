"""Scenario 3, PostgreSQL: stopped and restarted, its connections terminated, its disk full."""

from __future__ import annotations

import re
from contextlib import closing

import pytest

from al_learner.core.storage.database import Database
from tests.support.faults_servers import LOCKED, WORKERS, full_disk, heal, terminate
from tests.support.waiting import wait_until

OF_THE_CHILD = "application_name LIKE 'al-learner %%:' || %s"


@pytest.fixture
def stage(obedient_stage):
    """A project in which a run is due; its fit waits until it is told to go on."""
    obedient_stage.director.order("hold")
    return obedient_stage


def test_a_restart_of_postgresql_during_a_run_costs_that_run_alone(stage):
    stage.voters.start()
    with stage.worker() as worker:
        stage.wait_until_fitting()
        stage.postgres.stop(immediate=True)
        stage.director.order("")
        worker.wait_for("database.waiting")
        heal(stage.postgres, stage.redis)
        worker.wait_for("run.finished")
        stage.voters.stop()
        stage.assert_well()

    assert stage.voters.outages > 0
    assert stage.runs()[:2] == [("update", "died"), ("update", "succeeded")]


def test_a_restart_between_runs_is_survived(stage):
    stage.director.order("")
    with stage.worker() as worker:
        worker.wait_for("run.scored")
        stage.postgres.stop(immediate=True)
        heal(stage.postgres, stage.redis)
        stage.assert_well()
        assert worker.process.poll() is None


@pytest.mark.parametrize("which", [WORKERS, LOCKED], ids=["all", "the lock's"])
def test_a_run_whose_connection_is_terminated_is_fenced_off(stage, which):
    with stage.worker() as worker:
        stage.wait_until_fitting()
        assert terminate(stage.postgres, stage.database, which) > 0
        stage.director.order("")
        worker.wait_for("database.waiting")
        stage.assert_well()
        assert worker.process.poll() is None

    assert stage.runs()[:2] == [("update", "died"), ("update", "succeeded")]


def test_the_training_process_survives_the_end_of_its_connection(stage):
    with stage.worker() as worker:
        pid = stage.wait_until_fitting()
        assert terminate(stage.postgres, stage.database, OF_THE_CHILD, str(pid)) > 0
        stage.director.order("")
        stage.assert_well()
        assert worker.trainer_pid == pid

    assert {status for _, status in stage.runs()} == {"succeeded"}


@pytest.mark.parametrize("table", ["classifiers", "countvecs"])
def test_a_full_disk_costs_that_run_alone(stage, table):
    with stage.worker() as worker:
        stage.wait_until_fitting()
        with full_disk(stage.postgres, stage.database, table):
            stage.director.order("")
            worker.wait_for("run.failed")
            assert [stage.value(f"SELECT count(*) FROM {name}") for name in ("classifiers", "countvecs")] == [0, 0]
            assert stage.new_samples() == stage.batch_size
        stage.vote(1)
        stage.assert_well()

    assert stage.value("SELECT error FROM al_runs WHERE run_id = 1") == "No space left on device (SQLSTATE 53100)"
    assert stage.runs()[:2] == [("update", "failed"), ("update", "succeeded")]


def test_a_disk_too_full_for_the_record_of_a_run_is_waited_for(stage):
    stage.director.order("")
    with stage.worker() as worker:
        worker.wait_for("run.scored")
        with full_disk(stage.postgres, stage.database, "al_runs"):
            stage.vote()
            worker.wait_for("worker.unexpected_error")
        stage.assert_well()


@pytest.fixture
def database(stage):
    """A connection to a project on which nobody writes."""
    with closing(Database(stage.postgres.url(stage.database).replace("postgresql:", "postgresql+psycopg:"))) as found:
        yield found


def test_the_change_token_of_a_restarted_server_is_another_one(stage, database):
    """As after a failover: the transaction ids of the other server may be the same."""
    before = database.change_token()
    assert database.change_token() == before
    stage.postgres.stop()
    heal(stage.postgres, stage.redis)

    after = database.change_token()

    assert _snapshot(after) == _snapshot(before)
    assert after != before


def test_the_change_token_after_a_lost_connection_is_another_one(stage, database):
    before = database.change_token()
    terminate(stage.postgres, stage.database)

    after = database.change_token()

    assert _snapshot(after) == _snapshot(before)
    assert after != before


def _snapshot(token):
    return re.search(r"\d+:\d+:[\d,]*", token)[0]


def test_the_state_is_read_again_after_a_while_even_if_nothing_seems_to_change(stage, tmp_path):
    program = tmp_path / "worker.py"
    program.write_text(
        "from al_learner import worker\n"
        "from al_learner.core.worker import loop\n"
        "from al_learner.core.storage.database import Database\n"
        "Database.change_token = lambda self: 'always the same'\n"
        "loop.FULL_READ_S = 1\n"
        "if __name__ == '__main__':\n    raise SystemExit(worker.main())\n",
        encoding="utf-8",
    )
    stage.director.order("")
    settings = {"AL_LEARNER_RECONCILE_S": 1, "REDIS_HOST": ""}
    with stage.worker(started=(stage.python, program), **settings) as worker:
        worker.wait_for("run.scored")
        worker.wait_for("reconcile.idle")
        stage.vote()
        wait_until(lambda: len(stage.runs()) == 2, "the second run")


@pytest.mark.parametrize("table", ["al_runs", "al_workers"])
def test_a_dropped_table_of_ours_is_made_again_by_the_worker(stage, table):
    stage.director.order("")
    with stage.worker() as worker:
        worker.wait_for("run.scored")
        before = stage.value("SELECT max(clf_id) FROM classifiers")
        stage.query(f"DROP TABLE {table}")
        stage.vote()
        newest = "SELECT max(clf_id) FROM classifiers"
        wait_until(lambda: stage.value(newest) > before and stage.new_samples() == 0, "the votes to be trained on")
        assert worker.process.poll() is None
