"""What is shown of a URL, and which URLs with odd passwords are taken."""

from urllib.parse import quote

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from al_learner.core.configuration.secrets import HIDDEN, masked
from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import SettingsError
from al_learner.core.service.redis_channels import Channels

SECRET = "correct-horse"  # noqa: S105 - no real one
PIECES = [
    "@",
    "/",
    ":",
    "?",
    "#",
    "%",
    "%4",
    "&",
    "=",
    " ",
    "'",
    '"',
    "\\",
    "[",
    "]",
    "é",
    "℀",
    "🔑",
    "\t",
    "://",
    "@h:1/d?a=b",
]


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{SECRET}@host/db",
        f"postgresql+psycopg://user:{SECRET}@host:5432/db?sslmode=require",
        f"redis://:{SECRET}@host:6379/0",
        f"redis://{SECRET}@host:6379/0",
        f"rediss://user:{SECRET}@host",
        f"postgresql://user:with@sign@{SECRET}@host/db",
        f"postgresql://user:with/slash{SECRET}@host/db",
        f"postgresql://user@server:{SECRET}@host/db",
        f"postgresql://us/er:{SECRET}@host/db",
        f"postgresql://host/db?user=me&password={SECRET}&sslmode=require",
        f"postgresql://host/db?sslcert=c&sslpassword={SECRET}",
        f"postgresql://host/db?SSLPassWord=a b'{SECRET}",
        f"postgresql://host/db?ssl%70assword={SECRET}",
        f"redis://host/0?password={SECRET}",
        f"redis://host/0?ssl_password={SECRET}&db=1",
        f"could not find the host 'postgresql://user:a {SECRET}@host/db'",
    ],
)
def test_the_secrets_of_a_url_are_masked(url):
    assert SECRET not in masked(url)
    assert "host" in masked(url)
    assert masked(url).partition("://")[0] == url.partition("://")[0]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///odd:na@me.db",
        "postgresql://user@host/db",
        "redis://host:6379/0",
        "postgresql://host/db?sslmode=verify-full&user=anna&connect_timeout=3",
        "no URL at all: write @ as %40?",
    ],
)
def test_what_has_no_secret_is_shown_as_it_is(url):
    assert masked(url) == url


def test_only_the_secret_is_masked():
    url = f"postgresql://user:{SECRET}@host:1/db?sslmode=require&sslpassword={SECRET}&user=anna"
    assert masked(url) == "postgresql://user:***@host:1/db?sslmode=require&sslpassword=***&user=anna"


@given(st.lists(st.sampled_from(PIECES), max_size=4).map("".join))
def test_a_password_that_is_written_with_codes_arrives_and_is_not_shown(odd):
    password = f"{SECRET}{odd}{SECRET}"
    settings = Settings(
        database_url=f"postgresql://anna:{quote(password, safe='')}@host:1/db",
        redis_url=f"redis://anna:{quote(password, safe='')}@host:1/0",
    )

    assert sa.make_url(settings.database).password == password
    assert Channels(settings)._client.connection_pool.connection_kwargs["password"] == password
    assert SECRET not in f"{settings.shown()}{settings!r}"


@pytest.mark.parametrize("field", ["database_url", "redis_url"])
@given(st.lists(st.sampled_from(PIECES), max_size=4).map("".join))
def test_a_password_that_is_written_as_it_is_arrives_or_is_refused_and_is_never_shown(field, odd):
    scheme = "postgresql" if field == "database_url" else "redis"
    result = _host_of(field, f"{scheme}://anna:{SECRET}{odd}{SECRET}@host:1/0")

    assert result == "host" or result.startswith(f"{field} = ***: cannot be read; write {scheme}://USER:PASSWORD@HOST")
    assert SECRET not in result


def test_a_file_without_its_scheme_is_told_with_it():
    assert _host_of("database_url", "data/news.db") == "database_url = ***: write sqlite:///data/news.db for a file"


def _host_of(field, url):
    """Return the host that is connected to, or the problem."""
    try:
        settings = Settings(**{field: url})
    except SettingsError as exc:
        return str(exc)
    assert SECRET not in f"{settings.shown()}{settings!r}"
    if field == "database_url":
        return sa.make_url(settings.database).host
    return Channels(settings)._client.connection_pool.connection_kwargs["host"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("database_url", SECRET),
        ("database_url", f"anna:{SECRET}@host/db"),
        ("database_url", f"postgresql://host:{SECRET}/db"),
        ("database_url", f"postgresql://anna@host/db?user={SECRET}@x"),
        ("database_url", [f"postgresql://anna:{SECRET}@host/db"]),
        ("redis_url", SECRET),
        ("redis_url", f"http://:{SECRET}@host"),
        ("redis_url", f"redis://host:{SECRET}"),
        ("redis_url", f"redis://:{SECRET}@host:99999"),
        ("redis_host", f"redis://:{SECRET}@host"),
        ("redis_host", f"{SECRET}@host"),
        ("redis_password", {"value": SECRET}),
        ("redis_password_file", SECRET),
        ("redis_password_file", 100 * SECRET),
        ("redis_ca_file", 100 * SECRET),
        ("signing_key", [SECRET]),
        ("signing_key_file", SECRET),
        ("signing_key_file", f"{SECRET}\0"),
    ],
)
@pytest.mark.parametrize("from_environment", [True, False])
def test_a_wrong_value_that_may_be_a_secret_is_not_shown(monkeypatch, field, value, from_environment):
    arguments = {field: value}
    if from_environment and isinstance(value, str) and "\0" not in value:
        prefix = "" if field.startswith("redis") else "AL_LEARNER_"
        monkeypatch.setenv(f"{prefix}{field.upper()}", value)
        arguments = {}

    with pytest.raises(SettingsError) as caught:
        Settings(**arguments)

    [problem] = caught.value.problems
    assert SECRET not in problem
    assert f"{field} = ***: " in problem.lower()
    assert field in HIDDEN


@pytest.mark.parametrize("option", [f"foo={SECRET}", f"{SECRET}=1", f"socket_timeout={SECRET}"])
def test_an_option_of_redis_that_is_wrong_is_named_before_anything_connects(option):
    with pytest.raises(SettingsError, match=r"REDIS_URL = \*\*\*: one of the options") as caught:
        Channels(Settings(redis_url=f"redis://:{SECRET}@host?{option}"))
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://",
        "postgresql+psycopg://",
        "postgres://anna@host",
        "postgresql://anna@[::1]:5432/db",
        "postgresql:///db?host=/run/postgresql&host=other:5433",
        "sqlite:///odd:na@me.db",
    ],
)
def test_every_usual_url_of_a_database_is_taken(url):
    assert Settings(database_url=url).database.endswith(url.partition("://")[2])


@pytest.mark.parametrize("url", ["redis://host", "rediss://host:6379/1?db=2", "redis://[::1]:6379"])
def test_every_usual_url_of_redis_is_taken(url):
    assert Channels(Settings(redis_url=url))
