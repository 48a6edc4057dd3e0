"""Jobs and answers as bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_learner.core.cluster.tasks import LossesResult, Task
from al_learner.core.cluster.transport.messages import Answer, Reply, decode, encode
from al_learner.core.errors import ClusterError
from al_learner.core.registry import Spec
from al_learner.core.storage.records import Prior, Trained
from al_learner.core.training.job import ColdStart, Job, Score

PRIOR = Prior("made for", np.array([3, 5]), np.array([-(2**63), 2**63 - 1]), np.array(["a", "b"], object), 0.05, 7)

JOB = Job(
    classifier=Spec("logreg", {"C": 1.5, "column_weights": {"meaning": 1}, "class_weight": None}),
    vectorizer=Spec("tfidf", {"ngram_range": [1, 2]}),
    text_ids=np.array([1, 2**40]),
    init_ids=np.zeros(0, np.int64),
    labels=np.array(["a", "ä\n"], object),
    countvec=(3, "0" * 64),
    packages=("numpy",),
    max_artifact_mib=10,
    cold_start=ColdStart(Spec("balanced", {}), {"a": "what a means"}, 10, "made for", 3, np.array([4])),
    prior=PRIOR,
)

TRAINED = Trained(b"clf", "1" * 64, None, 3, "2" * 64, 2, 2, {"numpy": "2"}, PRIOR, 2, ("a note",))

TASK = Task("train", "postgresql://db/labels", 60.0, None, 19, {"python": "3.11"}, JOB)


def as_text(value):
    return repr(value)


@pytest.mark.parametrize(
    "value", [TASK, TRAINED, Score(0.5, {"n": 3, "per_class": {"a": [0.5, None]}}), Answer(b"1", "E", "m")]
)
def test_what_is_sent_is_what_comes(value):
    assert as_text(decode(type(value), encode(value))) == as_text(value)


def test_losses_that_are_unknown_come_as_such():
    losses = np.array([0.25, np.nan, np.inf])
    np.testing.assert_array_equal(decode(LossesResult, encode(LossesResult(losses))).losses, losses)


def test_what_is_no_plain_data_is_not_sent():
    with pytest.raises(NotImplementedError, match="object is not sent"):
        encode(Score(0.5, {"secret": object()}))


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(content):
    for kind in (Trained, Score, LossesResult, Reply, Task):
        with pytest.raises(ClusterError, match="a message from the cluster is not as expected"):
            decode(kind, content)


@given(st.data())
def test_a_message_that_was_damaged_is_refused_or_has_the_right_types(data):
    message = bytearray(encode(TRAINED))
    message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode(Trained, bytes(message))
    except ClusterError:
        return
    assert isinstance(found.clf, bytes)
    assert found.prior is None or found.prior.text_ids.dtype == np.int64
