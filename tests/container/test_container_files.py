"""The container's files agree with the settings, and with each other. That the image builds and runs is CI's to see."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from al_learner.core.configuration.settings import Settings, variable, variables

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
DOCKERFILES = ("Dockerfile", "Dockerfile.dev")


def shown(*, commented: bool) -> dict[str, str]:
    """Return the variables of the service `worker` and their values: those that are set, or those commented out."""
    environment = COMPOSE.partition("\n    environment:\n      # --")[2]
    mark = "# " if commented else ""
    found = re.findall(rf"^ {{6}}{mark}([A-Z_]+): (.*?)(?:  #.*)?$", environment, flags=re.MULTILINE)
    return {name: value.strip('"') for name, value in found}


def instructions(dockerfile: str, keyword: str) -> list[str]:
    text = (ROOT / dockerfile).read_text(encoding="utf-8")
    return re.findall(rf"^{keyword} (.*)$", text, flags=re.MULTILINE)


def test_every_variable_is_shown_in_the_compose_file():
    named = shown(commented=False) | shown(commented=True)
    assert not set(variables()) - set(named)
    assert not {name for name in named if not name.startswith("PG")} - set(variables())


def test_what_the_compose_file_shows_as_a_default_is_one(monkeypatch):
    fields = {variable(name): field for name, field in Settings.model_fields.items()}
    before = Settings().shown()
    for name, value in shown(commented=True).items():
        if name in fields and fields[name].default is not None:
            monkeypatch.setenv(name, value)
    assert Settings().shown() == before


@pytest.mark.parametrize("name", ["AL_LEARNER_TRAIN_MEMORY_MIB", "AL_LEARNER_HTTP_PORT"])
def test_what_it_shows_as_an_example_is_accepted(monkeypatch, name):
    monkeypatch.setenv(name, shown(commented=True)[name])
    Settings()


def test_probes_from_outside_reach_the_port_of_a_container():
    assert "AL_LEARNER_HTTP_HOST=0.0.0.0" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert shown(commented=False)["AL_LEARNER_HTTP_HOST"] == "0.0.0.0"  # noqa: S104 - only a value


def test_docker_waits_longer_than_the_worker_takes_to_end():
    period = re.search(r"stop_grace_period: (\d+)s", COMPOSE)
    assert period is not None
    assert float(period[1]) > Settings().grace_s


def test_every_stage_starts_from_the_same_base():
    # What pip compiled or linked in one stage runs on another's interpreter.
    assert {stage.split()[0] for name in DOCKERFILES for stage in instructions(name, "FROM")} == {
        "python:3.11-slim-bookworm"
    }


def test_every_extra_that_a_build_names_is_one():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    asked_for = re.findall(r'EXTRAS="(.*?)"', dockerfile) + re.findall(r"\{EXTRAS: (.*?)\}", COMPOSE)
    assert asked_for == ["meaning metrics crowd", "meaning metrics", "meaning metrics crowd"]
    assert {extra for extras in asked_for for extra in extras.split()} <= extras.keys()


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_what_is_copied_is_there_and_not_ignored(dockerfile):
    let_through = {
        line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = [line.split()[:-1] for line in instructions(dockerfile, "COPY") if not line.startswith("--from")]
    sources = {source for line in copied for source in line}
    assert sources <= let_through
    assert all((ROOT / source).exists() for source in sources)


def test_the_worker_gets_its_signals_itself_and_is_not_root():
    # In exec form there is no shell that would keep SIGTERM to itself.
    assert instructions("Dockerfile", "CMD") == ['["al-learner", "worker"]']
    assert instructions("Dockerfile", "USER")[-1].split(":")[0] not in ("root", "0")
