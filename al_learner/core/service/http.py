"""HTTP for monitoring: /metrics for Prometheus, /healthz and /livez for probes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from al_learner.core.errors import AlLearnerError, SettingsError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

LOCKED_S = 60
"""A run that has waited so long for rows that other sessions lock makes the worker unhealthy."""


@dataclass(frozen=True)
class Vitals:
    """Figures for monitoring.

    Attributes
    ----------
    runs : mapping of str to int
        Number of runs by status, of all workers.
    last_run_s : float or None
        Seconds that the newest successful run took.
    last_success : datetime or None
    unacknowledged_s : float
        For how many seconds the announcement of the newest classifier has been pending.
    is_subscribed : bool or None
        None without Redis.
    rows_locked_s : float
        For how many seconds a run of this worker has waited for rows that other sessions lock; 0 below 10 s.
    """

    runs: Mapping[str, int]
    last_run_s: float | None
    last_success: datetime | None
    unacknowledged_s: float
    is_subscribed: bool | None
    rows_locked_s: float


@dataclass(frozen=True)
class Health:
    """The answer of /healthz. The worker is healthy if nothing in it is false."""

    database: bool
    subscribed: bool | None
    reconciled: bool
    rows_free: bool = True

    @property
    def is_well(self) -> bool:
        """Whether the worker is healthy."""
        return self.database and self.subscribed is not False and self.reconciled and self.rows_free


def serve(
    port: int,
    *,
    vitals: Callable[[], Vitals],
    new_samples: Callable[[], int],
    is_alive: Callable[[], bool],
    is_superseded: Callable[[], bool],
) -> threading.Thread:
    """Answer on a port, in a daemon thread.

    Parameters
    ----------
    vitals : callable
        Reads the figures from the database; may raise AlLearnerError.
    new_samples : callable
        Number of new samples at the last reconciliation.
    is_alive : callable
        Whether the worker's loop has run a short time ago.
    is_superseded : callable
        Whether a worker that started later has other settings, so that this one does nothing.

    Raises
    ------
    SettingsError
        The extra ``metrics`` is not installed, or the port is in use.
    """
    from wsgiref.simple_server import WSGIRequestHandler, make_server  # imported only where HTTP is configured

    class Silent(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            """Leave probes out of the log."""

    try:
        from prometheus_client import CollectorRegistry, make_wsgi_app  # an extra
    except ImportError as exc:
        raise SettingsError(["AL_LEARNER_HTTP_PORT needs the extra: pip install 'al-learner[metrics]'"]) from exc
    registry = CollectorRegistry()
    registry.register(_Collector(vitals, new_samples, is_superseded))
    metrics = make_wsgi_app(registry)

    def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            return metrics(environ, start_response)  # type: ignore[no-any-return]  # prometheus-client says Any
        if environ["PATH_INFO"] not in ("/healthz", "/livez"):
            start_response("404 Not Found", [])
            return [b"see /metrics, /healthz and /livez\n"]
        health = _health(vitals, is_alive)
        is_well = health.is_well if environ["PATH_INFO"] == "/healthz" else health.reconciled
        status = "200 OK" if is_well else "503 Service Unavailable"
        start_response(status, [("Content-Type", "application/json")])
        looked = {"looked": health.reconciled}  # its name until version 0.2
        return [json.dumps(asdict(health) | looked | {"superseded": is_superseded()}).encode()]

    try:
        server = make_server("", port, answer, handler_class=Silent)
    except OSError as exc:
        raise SettingsError([f"AL_LEARNER_HTTP_PORT = {port}: {exc.strerror}"]) from exc
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    return thread


def _health(vitals: Callable[[], Vitals], is_alive: Callable[[], bool]) -> Health:
    try:
        found = vitals()
        rows_free = found.rows_locked_s < LOCKED_S
        return Health(database=True, subscribed=found.is_subscribed, reconciled=is_alive(), rows_free=rows_free)
    except AlLearnerError:
        return Health(database=False, subscribed=None, reconciled=is_alive())


class _Collector:
    """Reads the figures at each scrape, so that they survive a restart and are the same for several workers."""

    def __init__(
        self, vitals: Callable[[], Vitals], new_samples: Callable[[], int], is_superseded: Callable[[], bool]
    ) -> None:
        self._vitals, self._new_samples, self._is_superseded = vitals, new_samples, is_superseded

    def describe(self) -> list[Metric]:
        """Return nothing in advance: the database may not be available yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        from prometheus_client.core import GaugeMetricFamily  # an extra

        connected = GaugeMetricFamily("al_learner_connected", "Whether a connection is open.", labels=["to"])
        try:
            vitals = self._vitals()
        except AlLearnerError:
            connected.add_metric(["database"], 0)
            yield connected
            return
        connected.add_metric(["database"], 1)
        if vitals.is_subscribed is not None:
            connected.add_metric(["redis"], float(vitals.is_subscribed))
        yield connected
        runs = GaugeMetricFamily("al_learner_runs", "Runs in al_runs.", labels=["status"])
        for status, number in vitals.runs.items():
            runs.add_metric([status], number)
        yield runs
        yield GaugeMetricFamily(
            "al_learner_new_samples", "New samples at the last reconciliation.", self._new_samples()
        )
        yield GaugeMetricFamily(
            "al_learner_superseded",
            "Whether a worker that started later has other settings, so that this one does nothing.",
            float(self._is_superseded()),
        )
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
