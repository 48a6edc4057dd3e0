"""A password that was changed in its file is used at the next connection, without a restart."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import ChannelError, DatabaseUnavailable
from al_learner.core.service.redis_channels import Channels
from al_learner.core.storage.database import Database
from tests.support import servers as own
from tests.support.waiting import DEADLINE_S, wait_until

USER = "rotating"
RIGHTS = "~queryFlag &* +@all"


@pytest.fixture
def password_file(tmp_path):
    file = tmp_path / "password"
    file.write_text("first\n")
    return file


@pytest.fixture
def admin(redis):
    """A client that may change the password of a user of Redis."""
    with redis.client() as admin:
        admin.execute_command("ACL", "SETUSER", USER, "on", ">first", *RIGHTS.split())
        yield admin
        admin.execute_command("ACL", "DELUSER", USER)


def rotate(admin, password_file):
    password_file.write_text("second\n")
    admin.execute_command("ACL", "SETUSER", USER, "resetpass", ">second")
    admin.client_kill_filter(user=USER)


@pytest.fixture
def channels(redis, password_file, admin):  # noqa: ARG001 - the user must be there
    place = {"redis_host": "127.0.0.1", "redis_port": redis.port, "redis_username": USER}
    channels = Channels(Settings(redis_password_file=password_file, **place))
    yield channels
    channels.close()


def test_an_announcement_reads_the_changed_password_of_redis(channels, admin, password_file):
    assert channels.announce() == 0
    rotate(admin, password_file)

    assert channels.announce() == 0


def test_the_subscription_comes_back_with_the_changed_password_of_redis(channels, admin, password_file):
    stop, subscribed = threading.Event(), []
    listener = threading.Thread(target=channels.listen, args=(subscribed.append, stop))
    listener.start()
    try:
        wait_until(lambda: len(subscribed) == 1, "the first subscription")
        rotate(admin, password_file)
        wait_until(lambda: len(subscribed) == 2, "the second subscription")
    finally:
        stop.set()
        channels.close()
        listener.join(DEADLINE_S)


@pytest.mark.parametrize("content", [None, b"\xff"], ids=["missing", "not text"])
def test_a_password_file_that_cannot_be_read_is_an_error_of_the_channel(channels, admin, password_file, content):
    if content is None:
        password_file.unlink()
    else:
        password_file.write_bytes(content)
    admin.client_kill_filter(user=USER)

    with pytest.raises(ChannelError, match=str(password_file)):
        channels.announce()
    password_file.write_text("first")
    assert channels.announce() == 0


@pytest.fixture
def postgres_server():
    """A PostgreSQL that asks for passwords over TCP."""
    with own.folder() as folder:
        server = own.Postgres(folder)
        rules = server.data / "pg_hba.conf"
        rules.write_text(f"local all all trust\nhost all {USER} 127.0.0.1/32 scram-sha-256\n")
        server.start()
        yield server
        server.stop(immediate=True)


def test_every_connection_to_postgresql_reads_the_password_file_again(postgres_server, tmp_path, monkeypatch):
    file = tmp_path / "pgpass"

    def write(password):
        file.write_text(f"127.0.0.1:*:*:{USER}:{password}\n")
        file.chmod(0o600)  # libpq ignores it otherwise

    monkeypatch.setenv("PGPASSFILE", str(file))
    write("first")
    database = Database(f"postgresql+psycopg://{USER}@127.0.0.1:{postgres_server.port}/postgres")
    with closing(postgres_server.connect(host=str(postgres_server.data))) as admin, closing(database):
        admin.execute(f"CREATE ROLE {USER} LOGIN PASSWORD 'first'")
        database.now()
        admin.execute(f"ALTER ROLE {USER} PASSWORD 'second'")
        admin.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = %s", [USER])
        with pytest.raises(DatabaseUnavailable, match="password authentication failed"):
            database.now()
        write("second")

        database.now()
