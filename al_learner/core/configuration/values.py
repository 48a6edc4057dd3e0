"""How the values of some settings are written, and the types that check them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, FilePath
from pydantic_settings import NoDecode


def _json_object(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        decoded = json.loads(value)
    except ValueError as exc:
        raise ValueError(f'not JSON ({exc}); write it like {{"C": 0.5}}') from exc
    if not isinstance(decoded, dict):
        raise ValueError('must be a JSON object, like {"C": 0.5}')  # noqa: TRY004 - pydantic collects ValueErrors
    return decoded


def _comma_separated(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _port(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("tcp://"):
        raise ValueError(
            "Kubernetes sets this variable for a service named 'redis'; rename the service, set "
            "enableServiceLinks: false in the pod, or set REDIS_URL instead, and leave REDIS_PORT empty"
        )
    return value


def _holds_secret(file: Path) -> Path:
    try:
        if file.read_text(encoding="utf-8").strip():
            return file
    except (OSError, UnicodeDecodeError) as exc:
        raise ValueError(f"cannot be read: {exc}") from exc
    raise ValueError("the file is empty; it must hold the secret")


Params = Annotated[dict[str, Any], NoDecode, BeforeValidator(_json_object)]
Tables = Annotated[dict[str, dict[str, Any]], NoDecode]
SecretFile = Annotated[FilePath, AfterValidator(_holds_secret)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_separated)]
Port = Annotated[int, BeforeValidator(_port), Field(ge=1, le=65535)]
