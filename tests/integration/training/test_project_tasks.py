"""What the process does that a Dask worker supervises."""

from __future__ import annotations

import gc
import weakref

from al_learner.core.artifacts import pickling
from al_learner.core.cluster.process_tasks import project_tasks
from tests.support.corpora import add_weather


def test_after_predictions_with_a_newer_model_the_older_one_is_not_in_memory(sqlite, open_project, monkeypatch):
    add_weather(sqlite, 20)
    project = open_project(sqlite, vectorizer="count")
    clf_ids = [project.update(force=True).run.clf_id for _ in range(2)]
    load, loaded = pickling.load, []

    def remembered(*arguments):
        model = load(*arguments)
        loaded.append(weakref.ref(model))
        return model

    monkeypatch.setattr(pickling, "load", remembered)
    predict = project_tasks(sqlite.url)["predict"]

    for clf_id in [*clf_ids, clf_ids[-1]]:
        assert len(predict(project._models.recorded(clf_id), ("text_data", 1, 20)).text_ids) == 20
    gc.collect()

    assert [model() is None for model in loaded] == [True, True, False, False]
