import csv
import gzip
import io
import json
import random
import tracemalloc
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_learner.core.errors import DataError
from al_learner.core.exchange.containers import opening
from al_learner.core.exchange.containers.records import N_PEEKED
from al_learner.core.exchange.fields import check
from al_learner.core.exchange.rows import read

FIELDS = ("text", "label", "user", "text_id")
ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": ANY_TEXT,
            "label": ANY_TEXT.filter(bool),
            "user": ANY_TEXT,
            "text_id": st.integers(0, 2**40).map(str),
        }
    ),
    min_size=1,
    max_size=5,
)


def as_csv(rows: list[dict[str, str]], delimiter: str = ",") -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def as_columns(rows: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    return {name: {str(number): row[name] for number, row in enumerate(rows)} for name in FIELDS}


WRITERS = {
    "rows.csv": as_csv,
    "rows.tsv": lambda rows: as_csv(rows, "\t"),
    "lines.jsonl": lambda rows: "".join(json.dumps(row) + "\n" for row in rows),
    "lines.json": lambda rows: "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows),
    "list.json": json.dumps,
    "indented-list.json": lambda rows: json.dumps(rows, indent=2, ensure_ascii=False),
    "columns.json": lambda rows: json.dumps(as_columns(rows)),
    "indented-columns.json": lambda rows: json.dumps(as_columns(rows), indent=2),
    "columns-of-lists.json": lambda rows: json.dumps({name: [row[name] for row in rows] for name in FIELDS}),
}


def written(name: str, content: str | bytes, *, zipped: bool = False) -> Path:
    path = Path(f"{name}.gz" if zipped else name)
    content = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(content) if zipped else content)
    return path


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzipped"])
@pytest.mark.parametrize("name", WRITERS)
@given(rows=ROWS)
@settings(max_examples=30)  # of each format
def test_what_was_written_is_read(name, zipped, rows):
    path = written(name, WRITERS[name](rows), zipped=zipped)

    assert list(read(path, FIELDS)) == rows


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzipped"])
@pytest.mark.parametrize(
    ("name", "method", "options"),
    [
        ("columns.json", "to_json", {}),
        ("records.json", "to_json", {"orient": "records"}),
        ("lines.json", "to_json", {"orient": "records", "lines": True}),
        ("rows.csv", "to_csv", {"index": False}),
        ("indexed.csv", "to_csv", {}),
    ],
)
def test_what_pandas_wrote_is_read(name, method, options, zipped):
    frame = pd.DataFrame({"id": [3, 40], "data": ['naïve, "quoted"\ntext', ""], "labels": ["a", "b"]}, index=[7, 8])
    path = Path(f"{name}.gz" if zipped else name)
    getattr(frame, method)(path, **options)

    assert list(read(path, FIELDS)) == [
        {"text": 'naïve, "quoted"\ntext', "label": "a", "user": "", "text_id": "3"},
        {"text": "", "label": "b", "user": "", "text_id": "40"},
    ]


@pytest.mark.parametrize(("name", "content"), [("A.CSV", "text,label\na,b\n"), ("A.TSV", "text\tlabel\na\tb\n")])
def test_the_suffix_may_be_in_capitals(name, content):
    assert list(read(written(name, content), ("text", "label"))) == [{"text": "a", "label": "b"}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.csv", ""),
        ("header.csv", "text\n"),
        ("list.json", "[]"),
        ("columns.json", '{"text": {}}'),
        ("3.json", "3"),
    ],
)
def test_a_file_without_rows_has_none(name, content):
    assert list(read(written(name, content), ("text",))) == []


def test_a_byte_order_mark_is_no_part_of_the_first_column():
    path = written("excel.csv", "\ufefftext,label\na,b\n")

    assert list(read(path, ("text", "label"))) == [{"text": "a", "label": "b"}]


def test_a_text_may_be_longer_than_the_csv_module_allows_by_itself():
    path = written("rows.csv", f"text\n{'x' * 200_000}\n")

    assert [len(row["text"]) for row in read(path, ("text",))] == [200_000]


def test_a_column_of_any_name_can_hold_a_field():
    path = written("rows.csv", "text,Kommentar\nwrong,right\n")

    assert list(read(path, ("text",), columns={"text": "Kommentar"})) == [{"text": "right"}]


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzipped"])
def test_progress_is_reported_in_bytes_of_the_file_up_to_its_end(zipped):
    rng = random.Random(0)
    content = "".join(f'{{"text": "{rng.randbytes(32).hex()}"}}\n' for _ in range(10_000))
    path = written("lines.jsonl", content, zipped=zipped)
    told: list[int] = []

    assert sum(1 for _ in read(path, ("text",), progress=told.append)) == 10_000
    assert told == sorted(told)
    assert told[-1] == path.stat().st_size
    assert len(set(told)) > 1


def test_rows_are_read_only_as_they_are_asked_for():
    path = written("lines.jsonl", '{"text": "good"}\n' * N_PEEKED + "bad\n")

    rows = read(path, ("text",))

    assert [next(rows) for _ in range(N_PEEKED)] == [{"text": "good"}] * N_PEEKED
    with pytest.raises(DataError):
        next(rows)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        pytest.param("a.csv", "text\na\n\nb,c\n", "line 4: 1 columns", id="a field too many"),
        pytest.param("a.csv", 'text,label\n"x\ny",b\nc\n', "line 4: 2 columns", id="a field too few"),
        pytest.param("a.csv", 'text\nok\n"never closed', "line 3: ", id="an open quote"),
        pytest.param(
            "a.csv",
            "Text,label\na,b\n",
            "no column for the text: expected 'text' or 'data'.*found 'Text', 'label'",
            id="no column",
        ),
        pytest.param("a.csv", "text\na\0b\n", "line 2: .*NUL", id="a NUL byte"),
        pytest.param("a.jsonl", '{"text": "ok"}\n{"text": }\n', "line 2: not JSON", id="a broken line"),
        pytest.param("a.jsonl", '\n\n{"text": "ok"}\n\n{"text": }\n', "line 5: not JSON", id="after empty lines"),
        pytest.param("a.jsonl", '{"text": "ok"}\n["text"]\n', "line 2: not a JSON object", id="a line of another kind"),
        pytest.param("a.jsonl", '{"text": "ok"}\n{"text": null}\n', "line 2: the text is missing", id="a null"),
        pytest.param("a.jsonl", '{"text": "ok"}\n{"txt": "x"}\n', "line 2: the text is missing", id="a key missing"),
        pytest.param("a.jsonl", '{"text": 3}\n', "line 1: the text is 3, not a string", id="a number as text"),
        pytest.param("a.jsonl", '{"text": "\\ud800"}\n', "line 1: .*surrogate", id="half a character"),
        pytest.param("a.json", '[{"text": "ok"}, 3]', "item 2: not a JSON object", id="an item of another kind"),
        pytest.param("a.json", '{"text": {"7": "ok", "9": null}}', "row 9: the text is missing", id="a gap"),
        pytest.param("a.json", "[" * 100_000, "not JSON", id="nested without end"),
    ],
)
def test_an_error_names_the_file_the_place_and_the_reason(name, content, says):
    path = written(name, content)

    with pytest.raises(DataError, match=f"(?s)^{path}.*{says}"):
        list(read(path, ("text",)))


@pytest.mark.parametrize(
    "content",
    ['{"label": ["a"], "text": ["x", "y"]}', '{"label": {"0": "a"}, "text": {"0": "x", "1": "y"}}'],
    ids=["lists", "objects"],
)
def test_columns_of_different_lengths_lose_no_row_silently(content):
    with pytest.raises(DataError):
        list(read(written("columns.json", content), ("text", "label")))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        pytest.param({"label": ""}, "the label is empty", id="empty label"),
        pytest.param({"label": "x" * 51}, "51 characters; at most 50", id="long label"),
        pytest.param({"label": True}, "the label is True, not a string", id="label of another type"),
        pytest.param({"text_id": "-1"}, "'-1', not a number", id="negative id"),
        pytest.param({"text_id": ""}, "not a number", id="empty id"),
        pytest.param({"text_id": 1.0}, "1.0, not a string", id="fraction as id"),
        pytest.param({"text_id": "1" * 5_000}, "the text_id has 5,000 digits; at most 18", id="long text as id"),
        pytest.param({"text_id": 10**5_000}, "the text_id has more than 18 digits", id="long number as id"),
        pytest.param({"label": -(10**5_000)}, "the label has more than 18 digits", id="long number as label"),
        pytest.param({"text_id": None}, "missing", id="no id"),
        pytest.param({"user": 1.5}, "the user is 1.5", id="user of another type"),
    ],
)
def test_a_row_from_memory_is_checked_like_one_of_a_file(value, says):
    good = {"text_id": 1, "label": "a", "user": None}

    rows = check([good, good | value], max_label_length=50)

    assert next(rows) == {"text_id": "1", "label": "a", "user": ""}
    with pytest.raises(DataError, match=f"item 1: .*{says}"):
        next(rows)


def test_a_text_id_may_have_18_digits():
    assert list(check([{"text_id": "9" * 18}, {"text_id": 10**18 - 1}])) == [{"text_id": "9" * 18}] * 2


def test_an_error_shows_the_beginning_of_a_long_value():
    with pytest.raises(DataError) as caught:
        list(check([{"text_id": "x" * 10_000}]))
    assert len(str(caught.value)) < 100


def test_a_number_of_5000_digits_in_json_is_an_error():
    path = written("votes.jsonl", f'{{"text_id": {"1" * 5_000}, "label": "a"}}\n')

    with pytest.raises(DataError, match=r"votes\.jsonl: not JSON: .*digits"):
        list(read(path, ("text_id", "label")))


def test_labels_and_users_may_be_numbers():
    path = written("votes.jsonl", '{"id": 12, "label": 3, "worker": 4}\n')

    assert list(read(path, ("text_id", "label", "user"))) == [{"text_id": "12", "label": "3", "user": "4"}]


def test_a_label_as_long_as_major_label_is_taken():
    assert list(check([{"label": "x" * 50}], max_label_length=50)) == [{"label": "x" * 50}]


@pytest.mark.parametrize(
    ("columns", "says"), [({"label": "x"}, "label.*allowed: text"), ({"text": "x"}, "expected 'x'")]
)
def test_a_column_for_an_unknown_field_or_that_is_not_there_is_refused(columns, says):
    path = written("rows.csv", "text\na\n")

    with pytest.raises(DataError, match=says):
        list(read(path, ("text",), columns=columns))


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(DataError, match=r"nowhere\.csv: No such file"):
        list(read(Path("nowhere.csv"), ("text",)))


GZIPPED = gzip.compress("".join(f'{{"text": "{number}"}}\n' for number in range(300)).encode(), mtime=0)


@pytest.mark.parametrize("length", [2, len(GZIPPED) // 2, len(GZIPPED) - 1])
def test_a_gzipped_file_that_was_cut_off_is_refused(length):
    path = written("cut.jsonl.gz", GZIPPED[:length])

    with pytest.raises(DataError, match=r"cut\.jsonl\.gz"):
        list(read(path, ("text",)))


@given(position=st.integers(20, len(GZIPPED) - 10), flip=st.integers(1, 255))  # the byte after is half padding
def test_a_gzipped_file_with_a_changed_byte_is_refused(position, flip):
    damaged = bytearray(GZIPPED)
    damaged[position] ^= flip
    path = written("damaged.jsonl.gz", bytes(damaged))

    with pytest.raises(DataError, match=r"damaged\.jsonl\.gz"):
        list(read(path, ("text",)))


@pytest.mark.parametrize("content", ["x" * 1001, "x\n" * 501], ids=["one line", "many lines"])
def test_a_gzipped_file_that_expands_beyond_the_limit_is_refused(monkeypatch, content):
    monkeypatch.setattr(opening, "MAX_UNZIPPED_BYTES", 1005)

    assert len(list(read(written("rows.csv.gz", gzip.compress(f"text\n{content[:1000]}".encode())), ("text",)))) >= 1
    path = written("rows.csv.gz", gzip.compress(f"text\n{content}".encode()))
    with pytest.raises(DataError, match=r"rows\.csv\.gz: .* more than 1,005 bytes.*unpack it"):
        list(read(path, ("text",)))
    assert read(written("rows.csv", f"text\n{content}"), ("text",))


def test_a_gzip_bomb_is_refused_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(opening, "MAX_UNZIPPED_BYTES", 2**20)
    zeros = gzip.compress(bytes(2**24), mtime=0)
    path = written("bomb.csv.gz", gzip.compress(b"text\n", mtime=0) + zeros * 512)  # 8 GiB, as one line

    tracemalloc.start()
    with pytest.raises(DataError, match=r"bomb\.csv\.gz: .*unpack it"):
        list(read(path, ("text",)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24
