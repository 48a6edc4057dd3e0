"""The metrics for Prometheus; only this module and `http` know prometheus-client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from al_learner.core.errors import AlLearnerError, DatabaseUnavailable
from al_learner.core.service.figures import Source, Sources

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class Collector:
    """Reads the figures at each scrape, so that they survive a restart and are the same for several workers."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def describe(self) -> list[Metric]:
        """Return nothing in advance: the database may not be available yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, each with the figures of all projects."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # an extra

        families: dict[str, Metric] = {}
        for name, source in self._sources().items():
            project = {} if name is None else {"project": name}
            for sample in _samples(source):
                labels = {**project, **sample.labels}
                make = CounterMetricFamily if sample.name.endswith("_total") else GaugeMetricFamily
                family = families.setdefault(sample.name, make(sample.name, sample.says, labels=[*labels]))
                family.add_metric([*labels.values()], sample.value)  # type: ignore[attr-defined]  # both have it
        yield from families.values()


class _Sample(NamedTuple):
    name: str
    says: str
    value: float
    labels: Mapping[str, str] = {}


def _samples(source: Source) -> Iterator[_Sample]:
    """Yield the figures of a project."""
    own, vitals, is_connected = source.figures(), None, True
    try:
        vitals = source.vitals()
    except DatabaseUnavailable:
        is_connected = False
    except AlLearnerError:  # it answers, but tables are missing; /healthz says so
        pass
    connected = "al_learner_connected", "Whether a connection is open."
    yield _Sample(*connected, float(is_connected), {"to": "database"})
    if own.is_subscribed is not None:
        yield _Sample(*connected, float(own.is_subscribed), {"to": "redis"})
    yield _Sample(
        "al_learner_unexpected_errors_total",
        "Errors that nobody expected, of the loop and the listener, since the worker started.",
        own.unexpected_errors,
    )
    yield _Sample(
        "al_learner_database_waiting_seconds",
        "For how long the loop has been waiting for the database or for a locked table.",
        own.waiting_s,
    )
    yield _Sample("al_learner_new_samples", "New samples at the last reconciliation.", own.new_samples)
    yield _Sample("al_learner_batch_size", "New samples that start a training.", own.batch_size)
    yield _Sample(
        "al_learner_superseded",
        "Whether a worker that started later has other settings, so that this one does nothing.",
        float(own.is_superseded),
    )
    if vitals is None:
        return
    for status, number in vitals.runs.items():
        yield _Sample("al_learner_runs", "Runs in al_runs.", number, {"status": status})
    yield _Sample(
        "al_learner_announcement_lag_seconds",
        "For how long the newest announcement has been pending.",
        vitals.unacknowledged_s,
    )
    yield _Sample(
        "al_learner_rows_locked_seconds",
        "For how long a run has waited for rows that other sessions lock.",
        vitals.rows_locked_s,
    )
    yield _Sample(
        "al_learner_failures", "Runs that have failed or died since the newest successful one.", vitals.failures
    )
    if vitals.accuracy is not None:
        yield _Sample("al_learner_accuracy", "Of the newest classifier that is scored.", vitals.accuracy)
    if vitals.last_run_s is not None:
        yield _Sample("al_learner_run_seconds", "Seconds that the newest successful run took.", vitals.last_run_s)
    if vitals.last_success is not None:
        yield _Sample(
            "al_learner_last_success_timestamp_seconds",
            "When the newest successful run ended.",
            vitals.last_success.timestamp(),
        )
