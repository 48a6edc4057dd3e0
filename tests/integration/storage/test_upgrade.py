"""al_learner's own tables are created and migrated."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from al_learner.core.errors import MigrationError
from al_learner.core.storage.database import Database
from al_learner.core.storage.migrations.upgrade import upgrade_runs
from al_learner.core.storage.run_lock import hold_run_lock
from al_learner.core.storage.runs import Runs
from al_learner.core.storage.schema import ours
from tests.support.runs import BEGIN
from tests.support.tables import ON_BOTH, WORKER_ROLE, SqliteTables
from tests.support.waiting import DEADLINE_S


def test_the_second_upgrade_finds_nothing_to_do(connect, database):
    runs = Runs(connect(database))

    assert upgrade_runs(runs._database) is True
    assert upgrade_runs(runs._database) is False
    assert runs.last() is None


def test_several_databases_are_upgraded_by_threads_of_one_process(connect, tmp_path):
    """Alembic keeps what it migrates in global variables."""
    several = [SqliteTables(tmp_path / f"{number}.db") for number in range(6)]
    databases = [connect(tables) for tables in several]
    for older in databases:
        older.write(lambda connection: _migrate_to(connection, "0001"))
    ready = threading.Barrier(len(databases))

    def upgrade(database):
        ready.wait(DEADLINE_S)
        return upgrade_runs(database)

    with ThreadPoolExecutor(len(databases)) as pool:
        assert all(pool.map(upgrade, databases))

    assert [tables.value("SELECT version_num FROM al_learner_version") for tables in several] == ["0006"] * 6
    for tables in several:
        tables.close()


def test_an_upgrade_keeps_the_rows(runs, database):
    with hold_run_lock(runs._database) as lock:
        lock.begin("init", **BEGIN, samples=[])

    upgrade_runs(runs._database)

    assert database.count("al_runs") == 1


def test_an_al_runs_of_the_first_version_is_upgraded_and_keeps_its_rows(connect, database):
    older = connect(database)
    older.write(lambda connection: _migrate_to(connection, "0001"))
    database.query(
        "INSERT INTO al_runs (kind, status, forced, owner, state, new_samples, strategies)"
        " VALUES ('update', 'succeeded', false, 'host:1', 'digest', 3, '{}')"
    )

    runs = Runs(connect(database))

    assert upgrade_runs(runs._database) is True
    run = runs.last()
    assert run is not None
    assert (run.run_id, run.new_samples, run.choice) == (1, 3, None)
    assert upgrade_runs(runs._database) is False


@ON_BOTH
def test_new_tables_are_those_that_all_migrations_make(connect, database):
    new = connect(database)
    upgrade_runs(new)
    made, project = _described(new), database.query("SELECT length(project_id), signed_v1 FROM al_project")
    for name in made:
        database.query(f"DROP TABLE {name}")

    older = connect(database)
    older.write(lambda connection: _migrate_to(connection, "head"))

    assert {*made} == {*ours.tables, "al_learner_version"}
    assert _described(older) == made
    assert database.query("SELECT length(project_id), signed_v1 FROM al_project") == project


def _described(database):
    """Return what a database tells of al_learner's own tables."""
    inspector = sa.inspect(database.engine)
    names = [name for name in inspector.get_table_names() if name.startswith("al_")]
    of_columns = {name: [str(sorted(column.items())) for column in inspector.get_columns(name)] for name in names}
    return {
        name: (
            of_columns[name],
            inspector.get_pk_constraint(name),
            inspector.get_indexes(name),
            inspector.get_unique_constraints(name),
            inspector.get_foreign_keys(name),
        )
        for name in names
    }


def _migrate_to(connection, version):
    config = Config()
    config.set_main_option("script_location", "al_learner.core.storage:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, version)


def test_two_workers_may_upgrade_at_the_same_time(connect, database):
    both = threading.Barrier(2)

    def upgrade(runs):
        both.wait(DEADLINE_S)
        return upgrade_runs(runs._database)

    with ThreadPoolExecutor() as pool:
        upgrades = [pool.submit(upgrade, Runs(connect(database))) for _ in range(2)]
        assert any(done.result(DEADLINE_S) for done in upgrades)

    assert database.query("SELECT version_num FROM al_learner_version") == [("0006",)]
    assert database.count("al_runs") == 0


def test_an_upgrade_touches_no_table_of_labelforward(connect, database):
    database.add_texts("text")
    database.add_labels("label")
    before = {table: rows for table, rows in database.content().items() if table != "commits of others"}

    upgrade_runs(connect(database))

    assert {table: rows for table, rows in database.content().items() if table in before} == before


def test_an_al_runs_of_a_newer_version_is_refused(runs, database):
    database.query("UPDATE al_learner_version SET version_num = '9999'")

    with pytest.raises(MigrationError, match="9999"):
        upgrade_runs(runs._database)


def test_a_user_who_may_not_create_tables_gets_the_command(postgresql):
    plain = Database(postgresql.engine_url.replace("postgres@", f"{WORKER_ROLE}@"))
    try:
        with pytest.raises(MigrationError, match="al-learner db upgrade"):
            upgrade_runs(plain)
    finally:
        plain.close()

    assert postgresql.query("SELECT FROM pg_class WHERE relname IN ('al_runs', 'al_learner_version')") == []
