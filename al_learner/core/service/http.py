"""HTTP for monitoring: /metrics for Prometheus, /healthz and /livez for probes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from al_learner.core.errors import AlLearnerError, DatabaseUnavailable, SettingsError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

LOCKED_S = 60
"""A wait of this length, for rows or tables that other sessions lock, makes the worker unhealthy."""

ANSWER_S = 3
"""A database that has not answered for so long counts as lost. `al-learner health` waits 5 s for all."""


@dataclass(frozen=True)
class Vitals:
    """Figures for monitoring, from the database.

    Attributes
    ----------
    runs : mapping of str to int
        Number of runs by status, of all workers.
    last_run_s : float or None
        Seconds that the newest successful run took.
    last_success : datetime or None
    unacknowledged_s : float
        For how many seconds the announcement of the newest classifier has been pending.
    rows_locked_s : float
        For how many seconds a run of this worker has waited for rows that other sessions lock; 0 below 10 s.
    """

    runs: Mapping[str, int]
    last_run_s: float | None
    last_success: datetime | None
    unacknowledged_s: float
    rows_locked_s: float


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


@dataclass(frozen=True)
class OwnFigures:
    """What the worker knows by itself, without the database.

    Attributes
    ----------
    is_alive : bool
        The loop has run a short time ago.
    is_subscribed : bool or None
        Messages are received now; None without Redis.
    is_superseded : bool
        A worker that started later has other settings, so this one does nothing.
    new_samples : int
        At the last reconciliation.
    unexpected_errors : int
        Since the worker started.
    waiting_s : float
        For how many seconds the loop has been waiting for the database, or for a table that another session locks.
    problem : str or None
        In words, which part of the worker failed last. Anybody who can reach the port can read it.
    """

    is_alive: bool
    is_subscribed: bool | None
    is_superseded: bool
    new_samples: int
    unexpected_errors: int
    waiting_s: float
    problem: str | None


def serve(host: str, port: int, *, vitals: Callable[[], Vitals], figures: Callable[[], OwnFigures]) -> threading.Thread:
    """Answer on a port, in daemon threads. No client keeps another one waiting.

    Parameters
    ----------
    host : str
        The address to answer on; ``0.0.0.0`` is every one of this machine.
    port : int
    vitals : callable
        Reads the figures from the database; may raise AlLearnerError. Never called by two threads at a time.
    figures : callable
        Returns what the worker knows by itself.

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
    vitals = _Shared(vitals)
    registry = CollectorRegistry()
    registry.register(_Collector(vitals, figures))
    metrics = make_wsgi_app(registry)

    def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics(environ, start_response)  # type: ignore[no-any-return]  # prometheus-client says Any
        own = figures()
        if path == "/livez":
            is_well = own.is_alive
            found: dict[str, Any] = {"reconciled": is_well}
        elif path == "/healthz":
            health = _health(vitals, own)
            is_well = not health.problems
            found = asdict(health)
        else:
            start_response("404 Not Found", [])
            return [b"see /metrics, /healthz and /livez\n"]
        start_response("200 OK" if is_well else "503 Service Unavailable", [("Content-Type", "application/json")])
        looked = {"looked": found["reconciled"]}  # its name until version 0.2
        return [json.dumps(found | looked, ensure_ascii=False).encode()]

    try:
        server = Server(host, port)
    except OSError as exc:
        raise SettingsError([f"AL_LEARNER_HTTP_PORT = {port}: {exc.strerror} (AL_LEARNER_HTTP_HOST = {host})"]) from exc
    server.set_app(answer)
    return server.start()


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


class _Shared:
    """Reads the vitals in one thread at a time, so that no number of probes takes the worker's connections."""

    def __init__(self, vitals: Callable[[], Vitals]) -> None:
        self._vitals, self._lock = vitals, threading.Lock()
        self._reading: Future[Vitals] | None = None

    def __call__(self) -> Vitals:
        """Return the vitals. Raises AlLearnerError, also if the database has not answered for `ANSWER_S`."""
        with self._lock:
            if self._reading is None or self._reading.done():
                self._reading = Future()
                # An executor would make the process wait for the database at its end.
                threading.Thread(target=self._read, args=(self._reading,), daemon=True).start()
            reading = self._reading
        try:
            return reading.result(ANSWER_S)
        except TimeoutError as exc:
            raise _NoAnswer(f"the database has not answered for {ANSWER_S} s") from exc

    def _read(self, reading: Future[Vitals]) -> None:
        try:
            reading.set_result(self._vitals())
        except BaseException as exc:  # noqa: BLE001 - raised again where the result is awaited
            reading.set_exception(exc)


class _Collector:
    """Reads the figures at each scrape, so that they survive a restart and are the same for several workers."""

    def __init__(self, vitals: Callable[[], Vitals], figures: Callable[[], OwnFigures]) -> None:
        self._vitals, self._figures = vitals, figures

    def describe(self) -> list[Metric]:
        """Return nothing in advance: the database may not be available yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # an extra

        own, vitals, is_connected = self._figures(), None, True
        try:
            vitals = self._vitals()
        except DatabaseUnavailable:
            is_connected = False
        except AlLearnerError:  # it answers, but tables are missing; /healthz says so
            pass
        connected = GaugeMetricFamily("al_learner_connected", "Whether a connection is open.", labels=["to"])
        connected.add_metric(["database"], float(is_connected))
        if own.is_subscribed is not None:
            connected.add_metric(["redis"], float(own.is_subscribed))
        yield connected
        yield CounterMetricFamily(
            "al_learner_unexpected_errors_total",
            "Errors that nobody expected, of the loop and the listener, since the worker started.",
            own.unexpected_errors,
        )
        yield GaugeMetricFamily(
            "al_learner_database_waiting_seconds",
            "For how long the loop has been waiting for the database or for a locked table.",
            own.waiting_s,
        )
        yield GaugeMetricFamily("al_learner_new_samples", "New samples at the last reconciliation.", own.new_samples)
        yield GaugeMetricFamily(
            "al_learner_superseded",
            "Whether a worker that started later has other settings, so that this one does nothing.",
            float(own.is_superseded),
        )
        if vitals is None:
            return
        runs = GaugeMetricFamily("al_learner_runs", "Runs in al_runs.", labels=["status"])
        for status, number in vitals.runs.items():
            runs.add_metric([status], number)
        yield runs
        yield GaugeMetricFamily(
            "al_learner_announcement_lag_seconds",
            "For how long the newest announcement has been pending.",
            vitals.unacknowledged_s,
        )
        yield GaugeMetricFamily(
            "al_learner_rows_locked_seconds",
            "For how long a run has waited for rows that other sessions lock.",
            vitals.rows_locked_s,
        )
        if vitals.last_run_s is not None:
            yield GaugeMetricFamily(
                "al_learner_run_seconds", "Seconds that the newest successful run took.", vitals.last_run_s
            )
        if vitals.last_success is not None:
            yield GaugeMetricFamily(
                "al_learner_last_success_timestamp_seconds",
                "When the newest successful run ended.",
                vitals.last_success.timestamp(),
            )
