import json
import logging
from datetime import UTC, datetime

import pytest

from al_learner.core.events import configure, event, printable

HOSTILE = {
    "C0": "\x1b[2J\x1b]0;title\x07\b",
    "DEL": "\x7f",
    "C1": "\x9b31m\x85",
    "bidirectional": "\u202etxt\u202c\u2066\u2069",
    "surrogate": "\udcff",
    "lines": "one\r\ntwo\u2028three\tfour",
}
PLAIN = 'naïve 日本 \\ "quoted" עברית \u200f 👩\u200d🔬'


@pytest.fixture
def _a_logger_of_our_own(monkeypatch):
    logger = logging.getLogger("al_learner")
    for attribute, value in {"handlers": [], "level": logger.level, "propagate": True}.items():
        monkeypatch.setattr(logger, attribute, value)
    yield
    logger.setLevel(logging.NOTSET)  # also forgets what the logger remembers about its level


def test_an_event_is_a_log_record_with_fields(caplog):
    caplog.set_level(logging.INFO, "al_learner")

    event("run.finished", clf_id=7, seconds=0.21)
    event("run.failed", level=logging.ERROR, error="no memory")

    finished, failed = caplog.records
    assert (finished.event, finished.levelno, finished.fields) == (
        "run.finished",
        logging.INFO,
        {"clf_id": 7, "seconds": 0.21},
    )
    assert finished.getMessage() == "run.finished clf_id=7 seconds=0.21"
    assert (failed.levelno, failed.fields) == (logging.ERROR, {"error": "no memory"})


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.usefixtures("_a_logger_of_our_own")
def test_what_a_plug_in_logs_under_our_name_is_written_too(capsys, form):
    configure(form)
    logging.getLogger("al_learner.mine").warning("a model of %s", "old")

    assert "a model of old" in capsys.readouterr().err


@pytest.mark.usefixtures("_a_logger_of_our_own")
def test_a_json_log_holds_one_object_a_line(capsys):
    configure("json")
    event("vote.too_long", level=logging.WARNING, label='naïve "x"\n', limit=50, at=datetime(2030, 1, 1, tzinfo=UTC))

    out, err = capsys.readouterr()
    [line] = err.splitlines()
    logged = json.loads(line)
    assert out == ""
    assert datetime.fromisoformat(logged.pop("time")).tzinfo is not None
    assert logged == {
        "level": "warning",
        "event": "vote.too_long",
        "label": 'naïve "x"\n',
        "limit": 50,
        "at": "2030-01-01 00:00:00+00:00",
    }


@pytest.mark.usefixtures("_a_logger_of_our_own")
def test_a_text_log_quotes_what_would_break_a_line_apart(capsys):
    configure("text")
    event("run.failed", clf_id=None, seconds=0.123456, error="two\nlines", why='a "b"', empty="", path="/x=y")

    [line] = capsys.readouterr().err.splitlines()
    _, level, shown = line.split(maxsplit=2)
    assert level == "info"
    assert shown == r'run.failed clf_id=None seconds=0.123 error="two\nlines" why="a \"b\"" empty="" path=/x=y'


@pytest.mark.usefixtures("_a_logger_of_our_own")
def test_events_below_the_level_are_not_written(capsys):
    configure("text", level=logging.WARNING)
    event("run.started")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.usefixtures("_a_logger_of_our_own")
def test_no_value_reaches_the_log_with_a_control_character(capsys, form):
    configure(form)
    for value in HOSTILE.values():
        event("message.ignored", payload=value, length=len(value))

    err = capsys.readouterr().err
    lines = err.removesuffix("\n").split("\n")
    assert len(lines) == len(HOSTILE)
    for line, value in zip(lines, HOSTILE.values(), strict=True):
        assert line.isprintable()
        shown = (
            json.dumps(json.loads(line)["payload"]) if form == "json" else line.split("payload=")[1].rpartition(" ")[0]
        )
        assert json.loads(shown) == value


def test_text_without_control_characters_is_shown_as_it_is():
    assert printable(PLAIN) == PLAIN


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_control_characters_are_shown_as_escapes(value):
    shown = printable(value)
    assert shown.isprintable()
    assert json.loads(f'"{shown}"') == value


def test_in_a_block_of_lines_newlines_and_tabs_stay():
    assert printable("one\n\ttwo\r\x1b", multiline=True) == "one\n\ttwo\\u000d\\u001b"
