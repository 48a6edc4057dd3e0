"""What a run records and stores, for tests of its transactions."""

from __future__ import annotations

from al_learner.core.artifacts.pickling import sha256
from al_learner.core.storage.records import Trained

BEGIN = {
    "forced": False,
    "state": "digest",
    "strategies": {"classifier": {"name": "logreg", "params": {"C": 1.0}}},
    "defaults": {},
}
FINISH = {"sign": None, "seconds": 0.5}


def trained(*, countvec=b"vectorizer", countvec_id=None):
    return Trained(
        clf=b"classifier",
        clf_sha256=sha256(b"classifier"),
        countvec=countvec,
        countvec_id=countvec_id,
        countvec_sha256=sha256(b"vectorizer"),
        texts=3,
        classes=2,
        versions={"numpy": "2.4.6"},
    )
