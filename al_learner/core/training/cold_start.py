"""Texts and labels for training before there are votes: a prior, or what the first classifier is trained on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import cast

import numpy as np

from al_learner.core.errors import AlLearnerError, DataError, PluginError
from al_learner.core.interfaces import Codes, InitSampler, Labels
from al_learner.core.storage.labelforward_tables import LabelForwardTables, NonEmptyTexts
from al_learner.core.storage.records import Ids, Prior
from al_learner.core.training.job import ColdStart

PRIOR_WEIGHT = 0.03
"""Weight of a text of the prior beside a voted text, while there are few votes.

From 0.03 to 0.1 was good on five corpora; above, wrong labels by meaning outweigh the first votes.
"""

PRIOR_HALVED_AT = 1_000
"""With so many labelled texts the weight is half of that."""


def prior_weight(n_labelled: int) -> float:
    """Return the weight of each text of a prior beside `n_labelled` labelled texts."""
    return PRIOR_WEIGHT * PRIOR_HALVED_AT / (PRIOR_HALVED_AT + n_labelled)


def make_prior(tables: LabelForwardTables, cold_start: ColdStart) -> Prior:
    """Let the init sampler pick texts whose labels are probably right. Without any, the prior has no texts.

    Raises
    ------
    DataError
        Every text is blank.
    PluginError
        The init sampler raised an exception, or returned something invalid.
    """
    sampler, texts = _sampler(cold_start), _texts(tables)
    try:
        picked = sampler.prior(texts, cold_start.labels, np.random.default_rng(sampler.random_state))
    except AlLearnerError:
        raise
    except Exception as exc:  # whatever a third party's code raises
        raise _failed(sampler, exc) from exc
    rows, names = picked or (np.array([], np.intp), [])
    if picked is not None:
        rows = _checked(sampler, rows, names, len(texts), cold_start.labels)
    if len({*rows.tolist()}) < len(rows):
        raise PluginError(f"init_sampler {sampler!r}: a prior must not have a text twice")
    ids = texts.ids[rows]
    found = tables.digests("text_data", ids.tolist())
    return Prior(
        made_for=cold_start.made_for,
        text_ids=ids,
        digests=np.array([found.get(i, 0) for i in ids.tolist()], np.int64),
        labels=np.array(names, object),
        weight=cold_start.weight,
    )


def pick(tables: LabelForwardTables, cold_start: ColdStart) -> tuple[Ids, Labels]:
    """Let the init sampler pick texts and give them labels.

    Returns
    -------
    text_ids : ndarray of shape (n_picked,), int64
    labels : ndarray of shape (n_picked,), str

    Raises
    ------
    DataError
        Every text is blank.
    PluginError
        The init sampler raised an exception, or returned something invalid.
    """
    sampler, texts = _sampler(cold_start), _texts(tables)
    size = max(2, min(cold_start.size, len(texts)))  # a single text is sampled twice, with two labels
    try:
        rows, names = sampler.sample(texts, [*cold_start.labels], size, np.random.default_rng(sampler.random_state))
    except AlLearnerError:
        raise
    except Exception as exc:  # whatever a third party's code raises
        raise _failed(sampler, exc) from exc
    rows = _checked(sampler, rows, names, len(texts), cold_start.labels, at_least=size)
    return texts.ids[rows], np.array(names)


def _sampler(cold_start: ColdStart) -> InitSampler:
    return cast(InitSampler, cold_start.init_sampler.make("init_sampler"))


def _texts(tables: LabelForwardTables) -> NonEmptyTexts:
    texts = tables.non_empty_texts()
    if not len(texts):
        raise DataError("all texts are empty")
    return texts


def _checked(
    sampler: InitSampler,
    rows: Codes,
    names: Sequence[str],
    n_texts: int,
    labels: Collection[str],
    *,
    at_least: int = 2,
) -> Codes:
    rows = np.asarray(rows)
    inside = rows.ndim == 1 and rows.dtype.kind in "iu" and ((rows >= 0) & (rows < n_texts)).all()
    given = {*names} <= {*labels} and len({*names}) > 1
    if not (inside and given and len(rows) == len(names) >= at_least):
        raise PluginError(
            f"init_sampler {sampler!r} must return at least {at_least} positions from 0 to {n_texts - 1} and as many "
            "of the given labels, at least two different ones"
        )
    return rows


def _failed(sampler: InitSampler, exc: Exception) -> PluginError:
    return PluginError(f"init_sampler {sampler!r} failed: {type(exc).__name__}: {exc}")
