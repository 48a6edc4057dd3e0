"""Runs trials on a Dask cluster."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from al_learner.core.cluster.compute import client_of
from al_learner.core.cluster.transport.messages import decode, encode, result
from al_learner.core.cluster.transport.versions import versions
from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import TrainerError
from al_learner.core.processes.task_process import Tasks
from al_learner.core.simulation.grid import Trial, TrialResult
from al_learner.core.simulation.replay import Round
from al_learner.core.simulation.running.worker_pool import Corpus, play, prepare_process

DO = "al_learner.core.simulation.running.dask_tasks:do"
"""What a Dask worker does with a trial."""

AT_MOST = 256
"""So many trials are sent at a time."""


@dataclass(frozen=True)
class TrialTask:
    """A trial that a Dask worker is to run, and the versions that must be the same there."""

    trial: Trial
    versions: Mapping[str, str]


@dataclass(frozen=True)
class LabelledTexts:
    """The corpus, which is sent once."""

    texts: list[str]
    labels: list[str]


@dataclass(frozen=True)
class TrialAnswer:
    """The rounds of a trial, until it ended or failed, and why it failed."""

    rounds: list[Round]
    error: str | None


def on_cluster(corpus: Corpus, results: Sequence[TrialResult], address: str) -> Generator[list[TrialResult]]:
    """Run trials on a Dask cluster. Yield each as it ends. A trial that was lost with a Dask worker is run again.

    Parameters
    ----------
    address : str
        Of the scheduler. The certificates for TLS are those that the settings name.

    Raises
    ------
    SettingsError, ClusterError
        The cluster cannot be used.
    """
    client = client_of(Settings(cluster=address), DO)
    try:
        client.ping("batch")
        tasks = (encode(TrialTask(one.trial, versions())) for one in results)
        kept = client.keep(encode(LabelledTexts(*corpus)))
        for number, message in client.ask_all(tasks, slot="batch", uses=kept, at_most=AT_MOST, tick=lambda: None):
            one = results[number]
            try:
                answer = result(TrialAnswer, message)
                one.rounds, one.error = answer.rounds, answer.error
            except TrainerError as exc:  # its process has ended
                one.error = str(exc)
            yield [one]
    finally:
        client.close()


def simulation_tasks() -> Tasks:
    """Make what a process does that a Dask worker supervises."""
    prepare_process()

    def run(trial: Trial, corpus: bytes) -> TrialAnswer:
        given = decode(LabelledTexts, corpus)
        rounds: list[Round] = []
        with TemporaryDirectory(prefix="al-learner-simulate-") as scratch:
            error = play((given.texts, given.labels), trial, scratch, rounds.append)
        return TrialAnswer(rounds, error)

    return {"run": run}
