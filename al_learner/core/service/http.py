"""HTTP for monitoring: /metrics for Prometheus, /healthz and /livez for probes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any

from al_learner.core.errors import AlLearnerError, DatabaseUnavailable, SettingsError
from al_learner.core.service.figures import OwnFigures, Source, Sources, Vitals
from al_learner.core.service.metrics import Collector

LOCKED_S = 60
"""A wait of this length, for rows or tables that other sessions lock, makes the worker unhealthy."""

ANSWER_S = 3
"""A database that has not answered for so long counts as lost. `al-learner health` waits 5 s for all."""

AT_A_TIME = 16
"""So many databases are read at a time."""


@dataclass(frozen=True)
class Health:
    """The answer of /healthz. The worker is healthy if it has no problem.

    Attributes
    ----------
    database : bool
        It answers.
    subscribed : bool or None
        Messages are received; None without Redis.
    reconciled : bool
        The worker's loop is running.
    rows_free : bool or None
        No run waits for locked rows; None if the database does not say.
    superseded : bool
        A worker that started later has other settings. This is not a problem.
    problems : tuple of str
        In words, everything that is wrong.
    """

    database: bool
    subscribed: bool | None
    reconciled: bool
    rows_free: bool | None
    superseded: bool
    problems: tuple[str, ...]


def serve(
    host: str, port: int, sources: Sources, *, problems: Callable[[], Sequence[str]] = lambda: ()
) -> threading.Thread:
    """Answer on a port, in daemon threads. No client keeps another one waiting.

    Parameters
    ----------
    host : str
        The address to answer on; ``0.0.0.0`` is every one of this machine.
    port : int
    sources : callable
        Returns the projects. Those with a name are told apart by it.
    problems : callable
        Returns what else is wrong, in words.

    Raises
    ------
    SettingsError
        The extra ``metrics`` is not installed, the port is in use, or the address is not this machine's.
    """
    from al_learner.core.service.http_server import Server  # imported only where HTTP is configured

    try:
        from prometheus_client import CollectorRegistry, make_wsgi_app  # an extra
    except ImportError as exc:
        raise SettingsError(["AL_LEARNER_HTTP_PORT needs the extra: pip install 'al-learner[metrics]'"]) from exc
    shared = _SharedSources(sources)
    registry = CollectorRegistry()
    registry.register(Collector(shared))
    metrics = make_wsgi_app(registry)

    def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics(environ, start_response)  # type: ignore[no-any-return]  # prometheus-client says Any
        if path == "/livez":
            is_well = all(source.figures().is_alive for source in sources().values())
            found: dict[str, Any] = {"reconciled": is_well, "looked": is_well}
        elif path == "/healthz":
            found = _healthz(shared(), problems())
            is_well = not found["problems"]
        else:
            start_response("404 Not Found", [])
            return [b"see /metrics, /healthz and /livez\n"]
        start_response("200 OK" if is_well else "503 Service Unavailable", [("Content-Type", "application/json")])
        return [json.dumps(found, ensure_ascii=False).encode()]

    try:
        server = Server(host, port)
    except OSError as exc:
        raise SettingsError([f"AL_LEARNER_HTTP_PORT = {port}: {exc.strerror} (AL_LEARNER_HTTP_HOST = {host})"]) from exc
    server.set_app(answer)
    return server.start()


def _healthz(sources: Mapping[str | None, Source], problems: Sequence[str]) -> dict[str, Any]:
    """Return the answer of /healthz: of one project, or of several by name."""
    found = {}
    for name, source in sources.items():
        health = _health(source.vitals, source.figures())
        found[name] = asdict(health) | {"looked": health.reconciled}  # its name until version 0.2
    if None in found:
        return found[None]
    every = [f"{name}: {problem}" for name, health in found.items() for problem in health["problems"]]
    return {"projects": found, "problems": [*every, *problems]}


def _health(vitals: Callable[[], Vitals], own: OwnFigures) -> Health:
    problems = []
    database, rows_free = True, None
    try:
        rows_free = vitals().rows_locked_s < LOCKED_S
    except _NoAnswer as exc:
        database = False
        problems.append(str(exc))
    except DatabaseUnavailable:  # its text names host and user; the log has it
        database = False
        problems.append("the database cannot be reached")
    except AlLearnerError as exc:
        problems.append(f"the database is not ready: {exc}")
    if rows_free is False:
        problems.append(f"a run has waited for more than {LOCKED_S} s for rows that other sessions lock")
    if own.waiting_s > LOCKED_S:
        problems.append(f"the worker has waited for more than {LOCKED_S} s for the database; its log says why")
    if own.is_subscribed is False:
        problems.append("the worker receives no messages from Redis")
    if not own.is_alive:
        problems.append("the worker's loop has not run for too long")
    if own.problem is not None:
        problems.append(own.problem)
    return Health(database, own.is_subscribed, own.is_alive, rows_free, own.is_superseded, tuple(problems))


class _NoAnswer(DatabaseUnavailable):
    """The database is silent."""


class _SharedSources:
    """The projects, whose databases are asked all at once, before anybody waits for the first answer."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._shared: dict[str | None, tuple[Source, _Shared]] = {}
        self._free, self._lock = threading.BoundedSemaphore(AT_A_TIME), threading.Lock()

    def __call__(self) -> dict[str | None, Source]:
        """Return the projects of now."""
        shared: dict[str | None, tuple[Source, _Shared]] = {}
        with self._lock:
            for name, source in self._sources().items():
                before = self._shared.get(name)
                is_same = before is not None and before[0] == source
                shared[name] = before if before and is_same else (source, _Shared(source.vitals, self._free))
            self._shared = shared
        for _, reading in shared.values():
            reading.begin()
        return {name: Source(reading, source.figures) for name, (source, reading) in shared.items()}


class _Shared:
    """Reads the vitals in one thread at a time, so that no number of probes takes the worker's connections."""

    def __init__(self, vitals: Callable[[], Vitals], free: threading.BoundedSemaphore) -> None:
        self._vitals, self._free, self._lock = vitals, free, threading.Lock()
        self._reading: Future[Vitals] | None = None

    def begin(self) -> Future[Vitals]:
        """Begin to read them, unless they are being read."""
        with self._lock:
            if self._reading is None or self._reading.done():
                self._reading = Future()
                # An executor would make the process wait for the database at its end.
                threading.Thread(target=self._read, args=(self._reading,), daemon=True).start()
            return self._reading

    def __call__(self) -> Vitals:
        """Return what was read. Raises AlLearnerError, also if the database has not answered for `ANSWER_S`."""
        reading = self._reading or self.begin()
        try:
            return reading.result(ANSWER_S)
        except TimeoutError as exc:
            raise _NoAnswer(f"the database has not answered for {ANSWER_S} s") from exc

    def _read(self, reading: Future[Vitals]) -> None:
        with self._free:
            try:
                reading.set_result(self._vitals())
            except BaseException as exc:  # noqa: BLE001 - raised again where the result is awaited
                reading.set_exception(exc)
