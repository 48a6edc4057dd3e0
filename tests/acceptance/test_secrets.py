"""No secret leaves the program, wherever it was put and however wrong it is."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from al_learner.cli import EXIT_ERROR
from tests.acceptance.conftest import Cli
from tests.support.workers import WorkerProcess

FIRST, LAST = "hunter2", "s3same"
ODD = ("", "@", "/", ":", "?", "#", "%", " ", "'", '"', "é", "℀", "[", "@x:1/d?a=")
COMMANDS = (("config",), ("config", "--json"), ("status",))
CLOSED = "127.0.0.1:1"
"""Where no server answers."""


def secret(odd: str = "@/") -> str:
    return f"{FIRST}{odd}{LAST}"


def quoted(odd: str = "@/") -> str:
    return quote(secret(odd), safe="")


def assert_silent(shown: str) -> None:
    assert FIRST not in shown
    assert LAST not in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("written", [secret, quoted], ids=["as it is", "with codes"])
def test_an_odd_password_of_a_url_is_never_shown(cli: Cli, odd: str, written: object) -> None:
    assert callable(written)
    password = written(odd)
    urls = {
        "AL_LEARNER_DATABASE_URL": f"postgresql://anna:{password}@{CLOSED}/db",
        "REDIS_URL": f"redis://anna:{password}@{CLOSED}/0",
    }
    for words in COMMANDS:
        done = cli(*words, **urls)
        assert_silent(done.stdout + done.stderr)
    done = cli("status", "--database", urls["AL_LEARNER_DATABASE_URL"])
    assert done.returncode == EXIT_ERROR
    assert done.stderr.startswith("error: ")
    assert_silent(done.stdout + done.stderr)


@pytest.mark.parametrize(
    "environment",
    [
        {"AL_LEARNER_DATABASE_URL": f"postgresql://{CLOSED}/db?sslpassword={quoted()}&password={quoted()}"},
        {"AL_LEARNER_DATABASE_URL": f"postgresql://{CLOSED}/db?sslpassword={secret(' ')}"},
        {"AL_LEARNER_DATABASE_URL": f"mysql://anna:{quoted()}@{CLOSED}/db?password={quoted()}"},
        {"AL_LEARNER_DATABASE_URL": secret()},
        {"REDIS_URL": f"redis://{quoted()}@{CLOSED}/0"},
        {"REDIS_URL": f"redis://{CLOSED}/0?password={quoted()}&ssl_password={quoted()}"},
        {"REDIS_URL": f"redis://:{quoted()}@{CLOSED}/0?foo=1"},
        {"REDIS_HOST": f"redis://:{secret()}@{CLOSED}"},
        {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1", "REDIS_PASSWORD": secret()},
        {"REDIS_PASSWORD_FILE": secret()},
        {"REDIS_PASSWORD_FILE": FIRST},
        {"REDIS_CA_FILE": 50 * FIRST},
        {"AL_LEARNER_SIGNING_KEY": secret()},
        {"AL_LEARNER_SIGNING_KEY_FILE": 50 * FIRST},
        {"AL_LEARNER_SIGNINGKEY": secret()},
        {"PGHOST": "127.0.0.1", "PGPORT": "1", "PGPASSWORD": secret()},
        {"PGHOST": f"postgresql://anna:{quoted()}@{CLOSED}/db"},
        {"PGHOSTADDR": f"postgresql://anna:{secret()}@{CLOSED}/db"},
        {"PGHOST": f"postgresql://{CLOSED}/db?sslpassword={quoted()}"},
    ],
    ids=lambda environment: next(iter(environment.items()))[0],
)
def test_a_secret_in_a_variable_is_never_shown(cli: Cli, environment: dict[str, str]) -> None:
    for words in COMMANDS:
        done = cli(*words, **{"PGHOST": "127.0.0.1", "PGPORT": "1", **environment})
        assert_silent(done.stdout + done.stderr)


@pytest.mark.parametrize(
    "line",
    [
        f'database_url = "postgresql://anna:{quoted()}@{CLOSED}/db?sslpassword={quoted()}"',
        f'database_url = "postgresql://anna:{secret()}@{CLOSED}/db"',
        f'database_url = ["postgresql://anna:{secret()}@{CLOSED}/db"]',
        f'database_url = {{password = "{secret()}"}}',
        f'redis_url = "redis://:{secret()}@{CLOSED}"',
        f'redis_password = {{value = "{secret()}"}}',
        f'redis_pasword = "{secret()}"',
        f'redis_password = "{secret()}',
        f'signing_key_file = "{secret()}"',
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_a_secret_in_the_settings_file_is_never_shown(cli: Cli, tmp_path: Path, line: str, named: object) -> None:
    (tmp_path / "al_learner.toml").write_text(line, encoding="utf-8")
    for words in COMMANDS:
        done = cli(*(["--config", "al_learner.toml"] if named else []), *words, PGHOST="127.0.0.1", PGPORT="1")
        assert_silent(done.stdout + done.stderr)


def test_a_worker_logs_no_secret(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(secret(), encoding="utf-8")
    environment = {
        "AL_LEARNER_DATABASE_URL": f"postgresql://anna:{quoted()}@{CLOSED}/db?sslpassword={quoted()}",
        "REDIS_URL": f"redis://:{quoted()}@{CLOSED}/0",
        "AL_LEARNER_SIGNING_KEY_FILE": str(tmp_path / "key"),
        "PGPASSWORD": secret(),
    }
    with WorkerProcess(environment, tmp_path) as worker:
        worker.wait_for("database.waiting")
        worker.wait_for("redis.lost")

    assert worker.stray == []
    assert_silent(worker.log)


@pytest.mark.parametrize(
    "wrong",
    [
        {"AL_LEARNER_DATABASE_URL": f"postgresql://anna:{secret()}@{CLOSED}/db"},
        {"REDIS_URL": f"redis://anna:{secret()}@{CLOSED}/0"},
        {"REDIS_URL": f"redis://:{quoted()}@{CLOSED}/0?foo=1"},
        {"REDIS_PASSWORD_FILE": secret()},
    ],
)
def test_a_worker_that_cannot_start_shows_no_secret(tmp_path: Path, wrong: dict[str, str]) -> None:
    with WorkerProcess({"PGHOST": "127.0.0.1", "PGPORT": "1", **wrong}, tmp_path) as worker:
        assert worker.wait() == EXIT_ERROR

    assert worker.stray
    assert worker.stray[0].startswith("error: ")
    assert_silent(worker.log)
