"""What a Dask worker does for a project: it supervises a training process, as al_learner's worker does.

The process reads the project with the Dask worker's own user and password, from libpq's variables (PGUSER, PGPASSWORD,
PGPASSFILE). They are in no task. It has no account that may write, and needs none.
"""

from __future__ import annotations

from al_learner.core.cluster.process_tasks import project_tasks
from al_learner.core.cluster.tasks import Task
from al_learner.core.cluster.transport.messages import decode, result
from al_learner.core.cluster.transport.supervised import answered, ask, require
from al_learner.core.processes.process_pool import Kind
from al_learner.core.training.corpus.counts import CorpusCounts


def do(message: bytes, *given: tuple[str, bytes]) -> tuple[str, bytes]:
    """Do an encoded `Task`; see `Client`. `given` are the counts of parts of the corpus."""

    def work() -> object:
        task = decode(Task, message)
        require(task.versions)
        counted = [result(CorpusCounts, answer) for _, answer in given]
        kind = Kind(
            project_tasks,
            (task.database,),
            work="scoring" if task.niceness else "training",
            timeout_s=task.timeout_s,
            memory_mib=task.memory_mib,
            niceness=task.niceness,
        )
        arguments = [one for one in (task.job, task.model, task.vectorizer, task.part) if one is not None]
        return ask(kind, task.name, *arguments, *([counted] if task.name == "merge" else counted))

    return answered(work)
