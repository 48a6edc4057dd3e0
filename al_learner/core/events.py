"""Log events: a name and fields. Never a text, a password, or a URL that holds one."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Literal

_LOGGER = logging.getLogger("al_learner")


def event(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event, such as ``run.finished`` with clf_id and seconds."""
    _LOGGER.log(level, name, extra={"fields": fields})


def configure(form: Literal["text", "json"], *, level: int = logging.INFO) -> None:
    """Write events to standard error, one line each, as text or as a JSON object."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(level)
    _LOGGER.propagate = False


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {"time": _time(record), "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps(fields | getattr(record, "fields", {}), default=str, ensure_ascii=False)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={_shown(value)}" for name, value in getattr(record, "fields", {}).items())
        return f"{_time(record)} {record.levelname.lower():7} {record.getMessage()} {fields}".rstrip()


def _time(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}Z"


def _shown(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(c.isspace() or c == '"' for c in text) else text
