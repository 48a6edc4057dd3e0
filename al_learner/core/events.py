"""Log events: a name and fields. Never a text, a password, or a URL that holds one.

And `printable`, for all that is logged or printed: labels and names of annotators come from others.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from typing import Any, Literal

_LOGGER = logging.getLogger("al_learner")

_LINES = {0x09: "\\t", 0x0A: "\\n"}
_C0_DEL_C1 = (*range(0x20), *range(0x7F, 0xA0))
_SEPARATORS = (0x2028, 0x2029)
_BIDIRECTIONAL = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SURROGATES = range(0xD800, 0xE000)  # such as those in the name of a file that is not UTF-8; no encoding has them
_CONTROLS = {
    code: f"\\u{code:04x}" for code in (*_C0_DEL_C1, *_SEPARATORS, *_BIDIRECTIONAL, *_SURROGATES) if code not in _LINES
}


of_project: ContextVar[dict[str, str]] = ContextVar("of_project", default={})  # noqa: B039 - it is never changed
"""Fields of every event: which project it is of, where one process serves several."""


class _Message:
    """Name and fields of an event in one line, for a program that configures its logging otherwise."""

    def __init__(self, name: str, fields: Mapping[str, Any]) -> None:
        self._name, self._fields = name, fields

    def __str__(self) -> str:
        return " ".join([self._name, *(f"{name}={_shown(value)}" for name, value in self._fields.items())])


def event(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event, such as ``run.finished`` with clf_id and seconds. The record has them as ``event``, ``fields``."""
    all_fields = of_project.get() | fields
    _LOGGER.log(level, _Message(name, all_fields), extra={"event": name, "fields": all_fields})


def configure(form: Literal["text", "json"], *, level: int = logging.INFO, hidden: Collection[str] = ()) -> None:
    """Write events to standard error, one line each, as text or as a JSON object; except those that are `hidden`.

    What was configured before ends.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: getattr(record, "event", "") not in hidden)
    handler.setFormatter(_Json() if form == "json" else _Text())
    _LOGGER.handlers[:] = [handler]
    _LOGGER.setLevel(level)
    _LOGGER.propagate = False


def printable(text: str, *, multiline: bool = False) -> str:
    r"""Return a text with its control characters as the escapes of JSON, such as ``\u001b``.

    Parameters
    ----------
    text : str
    multiline : bool, default=False
        Newlines and tabs stay, because the text is shown as a block of lines.
    """
    return text.translate(_CONTROLS if multiline else _CONTROLS | _LINES)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        name = getattr(record, "event", None) or record.getMessage()  # a plug-in may log without `event`
        fields = {"time": _time(record), "level": record.levelname.lower(), "event": name}
        return printable(json.dumps(fields | getattr(record, "fields", {}), default=str))


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{_time(record)} {record.levelname.lower():7} {printable(record.getMessage())}"


def _time(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}Z"


def _shown(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    is_plain = text and printable(text) == text and not any(c.isspace() or c == '"' for c in text)
    return text if is_plain else printable(json.dumps(text, ensure_ascii=False))
