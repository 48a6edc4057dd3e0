"""Servers that may be stopped and broken: the fault tests' own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import interpreters
from tests.support import servers as own
from tests.support.faults import Stage, make_template
from tests.support.faults_actors import PACKAGES, Predictors
from tests.support.faults_servers import heal
from tests.support.forks import WORKER, Nursery

Servers = tuple[own.Postgres, own.Redis]


@pytest.fixture(scope="session")
def predictors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictors]:
    """An interpreter without al_learner that makes predictors."""
    with Predictors(interpreters.make(tmp_path_factory.mktemp("predictor") / "venv", PACKAGES)) as home:
        yield home


@pytest.fixture(scope="session")
def victims() -> Iterator[Servers]:
    """PostgreSQL and Redis, of which nobody else knows."""
    with own.running() as (postgres, redis):
        make_template(postgres)
        yield postgres, redis


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workers' interpreter."""
    return interpreters.make(tmp_path_factory.mktemp("worker") / "venv", interpreters.WORKER)


@pytest.fixture(scope="session")
def workers_nursery(python: Path) -> Iterator[Nursery]:
    """Where workers are forked."""
    with Nursery(WORKER, python=python) as nursery:
        yield nursery


@pytest.fixture
def nursery(workers_nursery: Nursery) -> Nursery | None:
    """How workers are made; a module in which the start matters has a fixture of this name that returns None."""
    return workers_nursery


@pytest.fixture
def open_stage(
    victims: Servers, predictors: Predictors, python: Path, nursery: Nursery | None, tmp_path: Path
) -> Iterator[Callable[..., Stage]]:
    """Return a function that makes a `Stage`; both servers run, Redis is empty, and everything ends with the test."""
    postgres, redis = victims
    with redis.client() as client:
        client.flushall()
    with ExitStack() as stack:

        def open_one(**options: Any) -> Stage:
            stage = stack.enter_context(Stage(postgres, redis, predictors, tmp_path / "stage", **options))
            stage.python, stage.nursery = python, nursery
            return stage

        yield open_one
        heal(postgres, redis)


@pytest.fixture
def stage(open_stage: Callable[..., Stage]) -> Stage:
    """A project with texts and labels, and a predictor that listens."""
    stage = open_stage().fill()
    stage.predictor.start()
    return stage


@pytest.fixture
def obedient_stage(open_stage: Callable[..., Stage]) -> Stage:
    """The same with a classifier that obeys the director, and a run that is due."""
    stage = open_stage().fill()
    stage.settings |= stage.staged()
    stage.predictor.start()
    stage.vote()
    return stage
