"""Pictures of curves and bars, drawn by matplotlib. On a page they take its colours."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from al_learner.core.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#2f7fc1", "#d97a1e", "#2c9a68", "#b25bc4", "#cf4a41", "#94832b", "#1fa0b4", "#8b6f5c")
"""Most people can distinguish them on white and on black, also with colour blindness."""

GREY = "#8a8f98"
"""Of further curves."""

HIGH = 0.8
"""Above this share, an axis goes up to 100%."""

DAYS = 14
"""Bars show at least so many days."""

INK = "#010203"
"""Nearly black. On a page, the colour of its text takes the place of this one."""

INK_OF_FILES = "#777c85"
"""In a file that has no background: text in it can be read on white and on black."""

FONT = "'DejaVu Sans'"

SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "al_learner",  # the same picture is the same file
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip


_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_SIZE = re.compile(r' (?:width|height)="[^"]*pt"')


@dataclass(frozen=True)
class Line:
    """A curve, with a band around it.

    Attributes
    ----------
    name : str
        For the legend; one that begins with ``_`` is not in it.
    x, y : sequence
        `y` are shares, from 0 to 1. `x` are numbers, or times.
    low, high : sequence of float
        The edges of the band; empty without one.
    colour : str
    style : str
        ``-``: a thick line; ``--`` and ``:``: a thin one of dashes or dots.
    """

    name: str
    x: Sequence[Any]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    colour: str = COLOURS[0]
    style: Literal["-", "--", ":"] = "-"


class Picture:
    """A picture. A notebook shows it, and `str` is SVG for a page."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure

    def __str__(self) -> str:
        buffer = io.StringIO()
        with _settings():
            self._figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        svg = buffer.getvalue()
        svg = svg[svg.index("<svg") :].replace(INK, "currentColor").replace(FONT, f"system-ui, {FONT}")
        return _SIZE.sub("", _METADATA.sub("", svg), count=2)  # the size is that of the page's column

    def _repr_svg_(self) -> str:
        return str(self)

    def save(self, path: Path | str) -> Path:
        """Write the picture to a file: PNG, SVG or PDF, as the name ends.

        Raises
        ------
        DataError
            The file cannot be written, or its name ends otherwise.
        """
        path = Path(path)
        if path.suffix.lower() not in (".png", ".svg", ".pdf"):
            raise DataError(f"{path}: a picture is saved as .png, .svg or .pdf")
        try:
            if path.suffix.lower() == ".svg":
                path.write_text(str(self).replace("currentColor", INK_OF_FILES) + "\n", encoding="utf-8")
            else:
                with _settings():
                    self._figure.savefig(path, dpi=150)
        except OSError as exc:
            raise DataError(f"{path}: {exc.strerror}") from exc
        return path


def is_possible() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def check_extra() -> None:
    """Raise DataError if matplotlib is missing."""
    if not is_possible():
        raise DataError("pictures need the extra: pip install 'al-learner[plots]' (matplotlib missing)")


def lines(found: Sequence[Line], *, x_label: str, y_label: str, height: float = 3.6) -> Picture:
    """Draw curves of shares, with a legend if there are several.

    In SVG each curve is a group, with the ids ``curve-0``, ``curve-1`` and so on, and the first is on top.
    """
    with _axes(x_label, height) as (figure, axes):
        for rank, line in enumerate(found):  # the first is on top
            style: dict[str, Any] = {"color": line.colour, "zorder": 3 - rank / len(found), "gid": f"curve-{rank}"}
            style |= {"linewidth": 1.8 if line.style == "-" else 1.3, "linestyle": line.style}
            mark = "o" if len(line.x) == 1 else None
            axes.plot(list(line.x), list(line.y), label=line.name, marker=mark, **style)
            if len(line.low):
                band = list(line.low), list(line.high)
                gid = f"curve-{rank}-band"
                axes.fill_between(list(line.x), *band, color=line.colour, alpha=0.15, linewidth=0, gid=gid)
        if not found:
            axes.text(0.5, 0.5, "there is nothing to show", ha="center", transform=axes.transAxes)
        highest = max((max(line.high or line.y) for line in found), default=1.0)
        axes.set_ylim(0, 1.0 if highest > HIGH else 1.05 * highest)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_title(y_label, loc="left", fontsize=10)
        if isinstance(next((x for line in found for x in line.x), 0), date):
            _with_dates(axes)
        else:
            axes.set_xlim(left=0)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        if len(found) > 1:
            figure.legend(loc="outside lower left", frameon=False, ncols=2 if len(found) > 3 else 1, fontsize=9)
    return Picture(figure)


def bars(days: Sequence[date], heights: Sequence[int], *, y_label: str, height: float = 2.4) -> Picture:
    """Draw a bar for each day."""
    with _axes("", height) as (figure, axes):
        edges: Any = min(days[0], days[-1] - timedelta(DAYS)), days[-1] + timedelta(1)
        axes.set_xlim(*edges)
        axes.bar(np.array(days, "datetime64[D]"), list(heights), width=np.timedelta64(20, "h"), color=COLOURS[0])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_title(y_label, loc="left", fontsize=10)
        _with_dates(axes)
    return Picture(figure)


@contextmanager
def _axes(x_label: str, height: float) -> Iterator[tuple[Figure, Axes]]:
    check_extra()
    from matplotlib.figure import Figure  # heavy, and an extra

    with _settings():
        figure = Figure(figsize=(7.6, height), layout="constrained")
        axes = figure.add_subplot()
        axes.set_xlabel(x_label)
        axes.grid(axis="y", color=GREY, alpha=0.3, linewidth=0.6)
        yield figure, axes


def _with_dates(axes: Axes) -> None:
    from matplotlib.dates import ConciseDateFormatter  # heavy, and an extra

    locator = axes.xaxis.get_major_locator()
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # as it is there


@contextmanager
def _settings() -> Iterator[None]:
    import matplotlib as mpl  # heavy, and an extra

    with mpl.rc_context(SETTINGS):
        yield
