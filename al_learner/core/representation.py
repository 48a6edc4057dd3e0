"""How facts are shown to a person: times, and tables in a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from html import escape


def local_time(moment: datetime) -> str:
    """Return a time as text, in the machine's time zone, which it names."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def share(value: float | None) -> str:
    """Return a share in percent, or ``-``."""
    return "-" if value is None else f"{value:.1%}"


def html_table(rows: Iterable[tuple[str, str]], *, heading: str = "") -> str:
    """Return pairs of a name and a value as an HTML table, for a notebook."""
    style = 'style="text-align: left; white-space: pre-line; vertical-align: top"'
    body = "".join(f"<tr><th {style}>{escape(name)}</th><td {style}>{escape(value)}</td></tr>" for name, value in rows)
    caption = f"<caption {style}>{escape(heading)}</caption>" if heading else ""
    return f"<table>{caption}{body}</table>"
