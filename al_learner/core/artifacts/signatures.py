"""Signatures over what is stored, by HMAC-SHA256 with the configured key."""

from __future__ import annotations

import hashlib
import hmac
import json

from al_learner.core.storage.records import SIGNATURE_V2


def signature(key: str, project_id: str, clf_id: int, clf_sha256: str, countvec_id: int, countvec_sha256: str) -> str:
    """Sign a stored model: HMAC-SHA256 over the project, both ids and both digests, in hexadecimal.

    Without the key nobody can change a blob, combine blobs of two models, store a model under other ids, or copy it
    into another project.
    """
    parts = ["al_learner model v2", project_id, clf_id, clf_sha256, countvec_id, countvec_sha256]
    return SIGNATURE_V2 + signed(key, json.dumps(parts))  # as JSON no two models have the same text


def signature_v1(key: str, clf_sha256: str, countvec_sha256: str) -> str:
    """Return the signature that al_learner made before it had the table al_project."""
    return signed(key, f"al_learner pair: clf {clf_sha256} countvec {countvec_sha256}")


def signed(key: str, message: str) -> str:
    """Return the HMAC-SHA256 of a message, in hexadecimal."""
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


def is_same(expected: str, found: str | None) -> bool:
    """Compare signatures or digests in constant time."""
    return hmac.compare_digest(expected.encode(), (found or "").encode())
