"""Keeps secrets out of what is shown: URLs with passwords, and texts that may contain such URLs."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote_plus

from pydantic import SecretStr

MASK = "***"

HIDDEN = frozenset(
    {
        "database_url",
        "redis_url",
        "redis_host",
        "redis_password",
        "redis_password_file",
        "redis_ca_file",
        "cluster_ca_file",
        "cluster_cert_file",
        "cluster_key_file",
        "signing_key",
        "signing_key_file",
    }
)
"""Settings whose wrong value no error shows: it is a secret, or one that was put there by mistake."""

_USERINFO = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<userinfo>[^\n]*)@", re.IGNORECASE)
_OPTION = re.compile(r"(?<=[?&])(?P<name>[^=&\s]+)=[^&]*")
_SECRET_OPTION = re.compile(r"pass|pwd|secret|token|key", re.IGNORECASE)
_ODD = re.compile(r"[/?#@\s]")


def masked(text: str) -> str:
    """Mask the secrets of a URL, or of every URL in a text: passwords, and options such as ``sslpassword``.

    Where a URL is ambiguous, more is masked rather than less: everything up to the last ``@``, and an option up to the
    next ``&``.
    """
    text = _USERINFO.sub(_without_password, text)
    return _OPTION.sub(
        lambda found: f"{found['name']}={MASK}" if _SECRET_OPTION.search(unquote_plus(found["name"])) else found[0],
        text,
    )


def _without_password(found: re.Match[str]) -> str:
    scheme, userinfo = found["scheme"], found["userinfo"]
    if scheme.lower().startswith("sqlite"):
        return found[0]  # an @ in the name of a file
    user, colon, _ = userinfo.partition(":")
    is_password = not colon and scheme.lower().startswith("redis")  # redis://PASSWORD@HOST is a frequent mistake
    shown = MASK if is_password or _ODD.search(user) else user
    return f"{scheme}://{f'{shown}:{MASK}' if colon and shown != MASK else shown}@"


def secret(value: SecretStr | None, file: Path | None) -> str | None:
    """Return a secret that is given itself or as a file that holds it; None if neither is given."""
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    return value.get_secret_value() if value else None
