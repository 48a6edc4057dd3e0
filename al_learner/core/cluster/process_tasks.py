"""What the process does that a Dask worker supervises: a training process, which also works on parts of the corpus."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import numpy as np

from al_learner.core.artifacts import pickling
from al_learner.core.cluster.tasks import LossesResult, Model, PredictedResult, Predictions, RangesResult
from al_learner.core.interfaces import CountsWords, Transformer
from al_learner.core.processes.task_process import Tasks
from al_learner.core.registry import Spec
from al_learner.core.storage.database import Database, chunked
from al_learner.core.storage.labelforward_tables import CHUNK, LabelForwardTables
from al_learner.core.training.corpus import counts
from al_learner.core.training.corpus.counts import CorpusCounts, IdRange
from al_learner.core.training.job import Job, Losses
from al_learner.core.training.subprocess_trainer import training_tasks


def project_tasks(database_url: str) -> Tasks:
    """Make the tasks of `TaskName` for a project."""
    tables = LabelForwardTables(Database(database_url))
    tasks = training_tasks(database_url)
    losses = cast(Callable[[Job], Losses], tasks["losses"])
    has_predicted = cast(Callable[..., bool], tasks["has_predicted"])

    @lru_cache(maxsize=1)
    def loaded(model: Model) -> tuple[Transformer, Any]:
        (clf_id, clf_sha256), (countvec_id, countvec_sha256) = model
        pipeline = pickling.load(tables.clf(clf_id), clf_sha256)
        return pickling.load(tables.countvec(countvec_id), countvec_sha256), pipeline

    def count(vectorizer: Spec, part: IdRange) -> CorpusCounts:
        return counts.count(tables, cast(CountsWords, vectorizer.make("vectorizer")), part)

    def predict(model: Model, part: IdRange) -> Predictions:
        from al_learner.core.training.fitting import transform  # heavy

        transformer, pipeline = loaded(model)
        ids, probabilities = [np.zeros(0, np.int64)], [np.zeros((0, len(pipeline.classes_)), np.float32)]
        for chunk in chunked(tables.texts_between(*part), CHUNK):
            ids.append(np.array([text_id for text_id, _ in chunk]))
            X = transform(transformer, [text for _, text in chunk])
            probabilities.append(pipeline.predict_proba(X).astype(np.float32))
        return Predictions(np.concatenate(ids), np.concatenate(probabilities))

    return {
        **tasks,
        "losses": lambda job: LossesResult(losses(job)),
        "has_predicted": lambda model: PredictedResult(has_predicted(*model)),
        "ranges": lambda: RangesResult(counts.ranges(tables)),
        "count": count,
        "merge": counts.merged,
        "predict": predict,
    }
