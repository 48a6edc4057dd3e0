"""Texts and labels for training before there are votes: a prior, or what the first classifier is trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from al_learner.core.errors import AlLearnerError, DataError, PluginError
from al_learner.core.interfaces import IGNORED, Codes, InitSampler, Labels
from al_learner.core.storage.labelforward_tables import LabelForwardTables, PartSize
from al_learner.core.storage.records import Ids, Prior
from al_learner.core.training.corpus.texts import CorpusTexts
from al_learner.core.training.job import ColdStart

T = TypeVar("T")

PRIOR_WEIGHT = (0.03, 0.1)
"""Smallest and largest weight of a text of the prior beside a voted text, while there are few votes.

All between them were good on five corpora; above, wrong labels by meaning outweigh the first votes.
"""

LABEL_WEIGHT = 1.1
"""Weight of a label's texts together, as far as those two weights allow it: where a label has few, each weighs more."""

MAX_TEXTS = 720
"""Number of texts of a prior, at least one for each label, that are trained on together with labelled ones.

Before the first vote, when nobody waits, it is all.
"""

PRIOR_HALVED_AT = 1_000
"""With this number of labelled texts the weight is half of that."""


def surest(prior: Prior) -> Prior:
    """Return what of a prior is trained on beside labelled texts: the first texts of each label."""
    return prior.among(are_surest(prior.labels.tolist()))


def are_surest(labels: Sequence[str]) -> NDArray[np.bool_]:
    """Return whether each text of a prior, whose texts have these labels, stays beside labelled texts."""
    n_each = max(1, MAX_TEXTS // max(1, len({*labels})))
    n_before: Counter[str] = Counter()
    found = np.zeros(len(labels), bool)
    for number, label in enumerate(labels):
        found[number] = n_before[label] < n_each
        n_before[label] += 1
    return found


def prior_weight(labels: Sequence[str], n_labelled: int) -> float:
    """Return the weight of each text of a prior, whose texts have these labels, beside `n_labelled` labelled texts."""
    least, most = PRIOR_WEIGHT
    n_texts = np.count_nonzero(are_surest(labels)) if n_labelled else len(labels)
    alone = min(most, max(least, LABEL_WEIGHT * len({*labels}) / max(1, n_texts)))
    return alone * PRIOR_HALVED_AT / (PRIOR_HALVED_AT + n_labelled)


def make_prior(tables: LabelForwardTables, cold_start: ColdStart, parts: Iterable[PartSize] | None = None) -> Prior:
    """Let the init sampler pick texts whose labels are probably right. Without any, the prior has no texts.

    Parameters
    ----------
    parts : iterable of PartSize, optional
        The sizes of the corpus's parts, if they are known.

    Raises
    ------
    DataError
        Every text is blank.
    PluginError
        The init sampler raised an exception, or returned something invalid.
    """
    sampler, texts = _sampler(cold_start), _texts(tables, parts)
    picked = _asked(sampler, lambda rng: sampler.prior(texts, cold_start.labels, rng))
    rows, names = picked or (np.array([], np.intp), [])
    if picked is not None:
        rows = _checked(sampler, rows, names, len(texts), cold_start.labels)
    if len({*rows.tolist()}) < len(rows):
        raise PluginError(f"init_sampler {sampler!r}: a prior must not have a text twice")
    ids = texts.ids_at(rows)
    found = tables.digests("text_data", ids.tolist())
    return Prior(
        made_for=cold_start.made_for,
        text_ids=ids,
        digests=np.array([found.get(i, 0) for i in ids.tolist()], np.int64),
        labels=np.array(names, object),
        weight=prior_weight(names, cold_start.n_labelled),
    )


def notes_on(prior: Prior, cold_start: ColdStart) -> tuple[str, ...]:
    """Return a note that names the labels without texts, if the init sampler knows what labels mean."""
    if type(_sampler(cold_start)).prior is InitSampler.prior:  # it makes no prior
        return ()
    if without := [label for label in cold_start.labels if label not in {*prior.labels, IGNORED}]:
        names = ", ".join(map(repr, without))
        if len(prior.labels):
            return (f"no text is near to the meaning of these labels, so the prior has none of them: {names}",)
        why = f"there is no prior, because texts are near to the meaning of fewer than two of these labels: {names}"
        then = "" if cold_start.n_labelled else "; the first classifier is trained on random labels"
        return (f"{why}{then}. Descriptions say what labels mean (al-learner load labels, column description)",)
    return ()


def pick(
    tables: LabelForwardTables, cold_start: ColdStart, parts: Iterable[PartSize] | None = None
) -> tuple[Ids, Labels]:
    """Let the init sampler pick texts and give them labels; parameters as of `make_prior`.

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
    sampler, texts = _sampler(cold_start), _texts(tables, parts)
    size = max(2, min(cold_start.size, len(texts)))  # a single text is sampled twice, with two labels
    rows, names = _asked(sampler, lambda rng: sampler.sample(texts, [*cold_start.labels], size, rng))
    rows = _checked(sampler, rows, names, len(texts), cold_start.labels, at_least=size)
    return texts.ids_at(rows), np.array(names)


def _sampler(cold_start: ColdStart) -> InitSampler:
    return cast(InitSampler, cold_start.init_sampler.make("init_sampler"))


def _texts(tables: LabelForwardTables, parts: Iterable[PartSize] | None) -> CorpusTexts:
    texts = CorpusTexts.not_blank(tables, parts)
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


def _asked(sampler: InitSampler, question: Callable[[np.random.Generator], T]) -> T:
    try:
        return question(np.random.default_rng(sampler.random_state))
    except AlLearnerError:
        raise
    except Exception as exc:  # whatever a third party's code raises
        raise PluginError(f"init_sampler {sampler!r} failed: {type(exc).__name__}: {exc}") from exc
