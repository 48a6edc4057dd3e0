"""What a Dask worker does for a simulation: it supervises processes in which trials run."""

from __future__ import annotations

from al_learner.core.cluster.transport.messages import decode
from al_learner.core.cluster.transport.supervised import answered, ask, require
from al_learner.core.processes.process_pool import Kind
from al_learner.core.simulation.running.cluster_trials import TrialTask, simulation_tasks


def do(message: bytes, corpus: bytes) -> tuple[str, bytes]:
    """Run the trial of an encoded `TrialTask` on an encoded corpus; see `Client`."""

    def work() -> object:
        task = decode(TrialTask, message)
        require(task.versions)
        return ask(Kind(simulation_tasks, work="simulation"), "run", task.trial, corpus)

    return answered(work)
