"""The settings files of many projects: what they may have, and what no two of them may share."""

from __future__ import annotations

from pathlib import Path

import pytest

from al_learner.core.configuration.project_files import read_projects


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "projects"
    folder.mkdir()
    return folder


def put(folder: Path, name: str, *lines: str) -> Path:
    path = folder / f"{name}.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_file_goes_over_the_environment_and_its_servers_come_from_it_alone(folder, monkeypatch):
    monkeypatch.setenv("AL_LEARNER_DATABASE_URL", "postgresql://of.environment/labels")
    monkeypatch.setenv("REDIS_HOST", "of.environment")
    monkeypatch.setenv("REDIS_PASSWORD", "secret")
    monkeypatch.setenv("BATCH_SIZE", "20")
    monkeypatch.setenv("MIN_LABEL_COUNT", "2")
    put(folder, "news", 'database_url = "postgresql://db/news"', "batch_size = 5")

    found, problems = read_projects(folder, {})

    assert problems == {}
    settings = found["news"].settings
    assert settings.database_url == "postgresql://db/news"
    assert (settings.batch_size, settings.min_label_count) == (5, 2)
    assert not settings.has_redis
    assert settings.redis_secret is None


def test_mistakes_in_several_files_are_reported_together_and_the_others_are_read(folder):
    put(folder, "fine", 'database_url = "postgresql://db/fine"')
    first = put(folder, "first", "batch_size = 0", "http_port = 80", 'cluster = "tls://a:1"')
    second = put(folder, "second", 'database_url = "sqlite:///x.db"', 'gate = "maybe"', "bach_size = 3")
    third = put(folder, "third", "batch_size =")

    found, problems = read_projects(folder, {})

    assert [*found] == ["fine"]
    assert problems[first] == [
        "http_port belongs to the worker, not to a project: set it outside",
        "cluster belongs to the worker, not to a project: set it outside",
        "database_url is missing; every project names its own",
        "batch_size = 0: Input should be greater than or equal to 1",
    ]
    assert [problem.partition(":")[0].partition(" ")[0] for problem in problems[second]] == [
        "gate",
        "bach_size",
    ]
    assert problems[third][0].startswith("not a readable TOML file: ")


@pytest.mark.parametrize(
    ("a", "b", "what"),
    [
        (
            'database_url = "postgresql://u@db/x"',
            'database_url = "postgres://v:w@db:5432/x?sslmode=require"',
            "database",
        ),
        ('database_url = "postgresql:///x?host=/run"', 'database_url = "postgresql:///x?host=/run"', "database"),
        ('database_url = "sqlite:///x.db"', 'database_url = "sqlite:///x.db"', "database"),
        (
            'database_url = "postgresql://db/x"\nredis_host = "localhost"',
            'database_url = "postgresql://db/y"\nredis_url = "redis://u:p@127.0.0.1/3"',
            "Redis",
        ),
    ],
)
def test_no_two_projects_share_a_server(folder, a, b, what):
    put(folder, "a", a)
    path = put(folder, "b", b)

    found, problems = read_projects(folder, {})

    assert [*found] == ["a"]
    assert problems == {path: [f"its {what} is that of a; every project needs one of its own"]}


def test_other_databases_and_other_ports_are_not_shared(folder):
    for number, server in enumerate(("db/x", "db/y", "db:5433/x", "other/x")):
        put(folder, f"p{number}", f'database_url = "postgresql://{server}"', f"redis_url = 'redis://r:{7000 + number}'")

    found, problems = read_projects(folder, {})

    assert (len(found), problems) == (4, {})


def test_a_file_names_settings_files_relative_to_itself(folder):
    put(folder, "news", 'database_url = "postgresql://db/news"')
    listing = folder.parent / "projects.txt"
    listing.write_text("# of this host\nprojects/news.toml  # the first\n\nprojects/gone.toml\n", encoding="utf-8")

    found, problems = read_projects(listing, {})

    assert [*found] == ["news"]
    (problem,) = problems[folder / "gone.toml"]
    assert "No such file" in problem


def test_a_file_that_has_not_changed_is_not_read_again(folder):
    put(folder, "news", 'database_url = "postgresql://db/news"')
    before, _ = read_projects(folder, {})
    again, _ = read_projects(folder, before)
    put(folder, "news", 'database_url = "postgresql://db/other"')
    changed, _ = read_projects(folder, before)

    assert again["news"] is before["news"]
    assert changed["news"].settings.database_url == "postgresql://db/other"


def test_a_place_that_cannot_be_read_is_no_empty_one(folder):
    missing = folder / "missing"
    found, problems = read_projects(missing, {})
    assert found == {}
    assert [*problems] == [missing]
