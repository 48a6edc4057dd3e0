"""HTTP for monitors: /metrics for Prometheus, /healthz and /livez for probes."""

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


@dataclass(frozen=True)
class Vitals:
    """What a monitor wants to know.

    Attributes
    ----------
    runs : mapping of str to int
        Status to number of runs, of all workers ever.
    last_run_s : float or None
        Seconds that the newest success took.
    last_success : datetime or None
    unheard_s : float
        For how many seconds nobody has heard of the newest classifier.
    is_subscribed : bool or None
        None without Redis.
    """

    runs: Mapping[str, int]
    last_run_s: float | None
    last_success: datetime | None
    unheard_s: float
    is_subscribed: bool | None


@dataclass(frozen=True)
class Health:
    """What /healthz answers; the worker is healthy if all of it is true, or does not apply."""

    database: bool
    subscribed: bool | None
    looked: bool

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong."""
        return self.database and self.subscribed is not False and self.looked


def serve(
    port: int, *, vitals: Callable[[], Vitals], new_samples: Callable[[], int], has_looked: Callable[[], bool]
) -> threading.Thread:
    """Answer on a port, on a thread of its own that ends with the process.

    Parameters
    ----------
    vitals : callable
        Asks the database; may raise AlLearnerError.
    new_samples : callable
        New samples at the last look.
    has_looked : callable
        Whether the last look is recent.

    Raises
    ------
    SettingsError
        The extra ``metrics`` is not installed, or the port is taken.
    """
    from wsgiref.simple_server import WSGIRequestHandler, make_server  # only who asks for HTTP pays for it

    class Silent(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            """Leave probes out of the log."""

    try:
        from prometheus_client import CollectorRegistry, make_wsgi_app  # an extra
    except ImportError as exc:
        raise SettingsError(["AL_LEARNER_HTTP_PORT needs the extra: pip install 'al-learner[metrics]'"]) from exc
    registry = CollectorRegistry()
    registry.register(_Collector(vitals, new_samples))
    metrics = make_wsgi_app(registry)

    def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            return metrics(environ, start_response)  # type: ignore[no-any-return]  # prometheus-client says Any
        if environ["PATH_INFO"] not in ("/healthz", "/livez"):
            start_response("404 Not Found", [])
            return [b"see /metrics, /healthz and /livez\n"]
        health = _health(vitals, has_looked)
        is_well = health.is_well if environ["PATH_INFO"] == "/healthz" else health.looked
        status = "200 OK" if is_well else "503 Service Unavailable"
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(asdict(health)).encode()]

    try:
        server = make_server("", port, answer, handler_class=Silent)
    except OSError as exc:
        raise SettingsError([f"AL_LEARNER_HTTP_PORT = {port}: {exc.strerror}"]) from exc
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    return thread


def _health(vitals: Callable[[], Vitals], has_looked: Callable[[], bool]) -> Health:
    try:
        return Health(database=True, subscribed=vitals().is_subscribed, looked=has_looked())
    except AlLearnerError:
        return Health(database=False, subscribed=None, looked=has_looked())


class _Collector:
    """Asks the state when it is scraped, so that metrics survive a restart and several workers agree."""

    def __init__(self, vitals: Callable[[], Vitals], new_samples: Callable[[], int]) -> None:
        self._vitals, self._new_samples = vitals, new_samples

    def describe(self) -> list[Metric]:
        """Say nothing in advance: the database may not be there yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        from prometheus_client.core import GaugeMetricFamily  # an extra

        connected = GaugeMetricFamily("al_learner_connected", "Whether a connection stands.", labels=["to"])
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
        yield GaugeMetricFamily("al_learner_new_samples", "New samples at the last look.", self._new_samples())
        yield GaugeMetricFamily(
            "al_learner_announcement_lag_seconds", "For how long nobody has heard of a classifier.", vitals.unheard_s
        )
        if vitals.last_run_s is not None:
            yield GaugeMetricFamily("al_learner_run_seconds", "What the newest success took.", vitals.last_run_s)
        if vitals.last_success is not None:
            yield GaugeMetricFamily(
                "al_learner_last_success_timestamp_seconds", "When it was.", vitals.last_success.timestamp()
            )
