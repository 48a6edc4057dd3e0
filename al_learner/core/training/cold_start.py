"""Texts and labels for the first classifier of a project without votes and prelabelled data."""

from __future__ import annotations

from typing import cast

import numpy as np

from al_learner.core.errors import DataError, PluginError
from al_learner.core.interfaces import InitSampler, Labels
from al_learner.core.storage.labelforward_tables import LabelForwardTables
from al_learner.core.storage.records import Ids
from al_learner.core.training.job import ColdStart


def pick(tables: LabelForwardTables, cold_start: ColdStart) -> tuple[Ids, Labels]:
    """Let the init sampler pick texts and give them labels.

    Returns
    -------
    text_ids : ndarray of shape (size,), int64
    labels : ndarray of shape (size,), str

    Raises
    ------
    DataError
        Every text is blank.
    PluginError
        The init sampler raised an exception, or returned something invalid.
    """
    sampler = cast(InitSampler, cold_start.init_sampler.make("init_sampler"))
    texts = tables.non_empty_texts()
    if not len(texts):
        raise DataError("all texts are empty")
    rng = np.random.default_rng(sampler.random_state)
    size = max(2, min(cold_start.size, len(texts)))  # a single text is sampled twice, with two labels
    try:
        rows, names = sampler.sample(texts, cold_start.label_names, size, rng)
    except Exception as exc:  # whatever a third party's code raises
        raise PluginError(f"init_sampler {sampler!r} failed: {type(exc).__name__}: {exc}") from exc
    rows = np.asarray(rows)
    inside = rows.ndim == 1 and rows.dtype.kind in "iu" and ((rows >= 0) & (rows < len(texts))).all()
    given = {*names} <= {*cold_start.label_names} and len({*names}) > 1
    if not (inside and given and len(rows) == len(names) == size):
        raise PluginError(
            f"init_sampler {sampler!r} must return {size} positions from 0 to {len(texts) - 1} and as "
            "many of the given labels, at least two different ones"
        )
    return texts.ids[rows], np.array(names)
