"""Signatures over what is stored, by HMAC-SHA256 with the configured key."""

from __future__ import annotations

import hashlib
import hmac


def signature(key: str | None, clf_sha256: str, countvec_sha256: str) -> str | None:
    """Sign a model: HMAC-SHA256 over both digests and their names, in hexadecimal; None without a key.

    Without the key nobody can change a blob, swap the two, or combine blobs of two models.
    """
    return signed(key, f"al_learner pair: clf {clf_sha256} countvec {countvec_sha256}")


def signed(key: str | None, message: str) -> str | None:
    """Return the HMAC-SHA256 of a message, in hexadecimal; None without a key."""
    return None if key is None else hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


def is_same(expected: str | None, found: str | None) -> bool:
    """Compare signatures in constant time. Without a key (`expected` is None) every signature is accepted."""
    return expected is None or hmac.compare_digest(expected.encode(), (found or "").encode())
