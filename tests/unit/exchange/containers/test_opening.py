"""A file is what its content says, also zipped, as Excel, as Parquet, and on standard input."""

import gzip
import io
import json
import sys
import zipfile
from functools import cache
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_learner.core.errors import DataError
from al_learner.core.exchange.containers import opening
from al_learner.core.exchange.containers.opening import STANDARD_INPUT, opened

ROWS = [{"text": "naïve", "label": "a", "n": 1}, {"text": "", "label": "b", "n": None}]


def read(path=Path("file"), **options):
    with opened(path, **options) as parts:
        return [(part.member, part.kind, list(part.rows)) for part in parts]


def zipped(members, name="file"):
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)


def excel(rows, name="file", sheets=1):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for number in range(1, sheets):
        book.create_sheet(f"more {number}")
    book.save(name)


def test_excel_is_read_from_its_first_sheet():
    excel([[None, None, None], ["text", "label", None], ["naïve", 3, "beside"], [None, None, None], ["b", "x", None]])

    [(_, kind, rows)] = read()

    assert kind == "Excel, sheet 'Sheet'"
    assert rows == [("file, row 3", {"text": "naïve", "label": 3}), ("file, row 5", {"text": "b", "label": "x"})]


def test_other_sheets_are_not_read_and_that_is_said():
    excel([["text"], ["a"]], sheets=3)

    assert read()[0][1] == "Excel, sheet 'Sheet' (the first of 3)"


def test_what_is_excel_only_by_its_name_or_its_beginning_is_refused():
    zipped({"[Content_Types].xml": "<Types/>"})
    with pytest.raises(DataError, match="openpyxl cannot read it as an Excel file"):
        read()

    Path("old.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100))
    with pytest.raises(DataError, match=r"old\.xls: Excel before 2007 .*\.xlsx or as CSV"):
        read(Path("old.xls"))


@pytest.mark.parametrize(
    ("module", "write"), [("openpyxl", excel), ("pyarrow", lambda rows: pd.DataFrame(rows).to_parquet("file"))]
)
def test_without_its_package_a_format_names_the_extra(monkeypatch, module, write):
    write([{"text": "a"}] if module == "pyarrow" else [["text"]])
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(DataError, match=rf"file: .*{module}: pip install 'al-learner\[files\]'"):
        read()


def test_parquet_is_read():
    pd.DataFrame({"text": ["naïve", ""], "label": ["a", "b"]}).to_parquet("file")

    assert read() == [
        ("", "Parquet", [("file, row 1", {"text": "naïve", "label": "a"}), ("file, row 2", {"text": "", "label": "b"})])
    ]


@pytest.mark.parametrize(
    ("kind", "write"),
    [
        ("Excel", lambda: excel([["text"], ["a"]])),
        ("Parquet", lambda: pd.DataFrame({"text": ["a"]}).to_parquet("file")),
    ],
)
@pytest.mark.parametrize(("option", "value"), [("delimiter", ";"), ("encoding", "cp1252")])
def test_an_option_that_cannot_apply_is_refused(kind, write, option, value):
    write()

    with pytest.raises(DataError, match=f"file is {kind}, which has no {option}: leave out --{option}, in Python "):
        read(**{option: value})


def test_damaged_parquet_is_refused():
    pd.DataFrame({"text": [str(number) for number in range(1_000)]}).to_parquet("file")
    content = Path("file").read_bytes()
    Path("file").write_bytes(content[: len(content) // 2])

    with pytest.raises(DataError, match="pyarrow cannot read it"):
        read()


def test_a_zip_file_with_one_file_is_that_file():
    zipped({"folder/": "", "folder/rows.csv": "text;label\na;b\n", "__MACOSX/rows.csv": "x", "folder/.DS_Store": "y"})

    assert read() == [("rows", "CSV, delimiter ';'", [("file, folder/rows.csv, line 2", {"text": "a", "label": "b"})])]


def test_every_file_of_a_zip_file_is_read_with_its_name():
    zipped({"ben.jsonl": '{"text": "a"}\n', "../../ann.jsonl": '{"text": "b"}\n', "empty.jsonl": ""})

    assert [(member, len(rows)) for member, _, rows in read()] == [("ann", 1), ("ben", 1), ("empty", 0)]
    assert [path.name for path in Path().iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("members", "says"),
    [
        pytest.param({}, "contains no file", id="empty"),
        pytest.param({"a/": ""}, "contains no file", id="a folder"),
        pytest.param({"a.gz": gzip.compress(b"text\n")}, "zipped twice", id="gzip in zip"),
        pytest.param({f"{number}.csv": "text\n" for number in range(1_001)}, "1,001 files; at most 1,000", id="many"),
    ],
)
def test_a_zip_file_without_one_clear_content_is_refused(members, says):
    zipped(members)

    with pytest.raises(DataError, match=f"file.*{says}"):
        read()


def test_a_zip_bomb_is_refused(monkeypatch):
    monkeypatch.setattr(opening, "MAX_UNZIPPED_BYTES", 2**20)
    zipped({"a.csv": b"text\n" + bytes(2**20)})

    with pytest.raises(DataError, match="expands to more than 1,048,576 bytes"):
        read()


def test_a_zip_file_that_lies_about_its_size_expands_to_no_more_than_it_says():
    zipped({"a.csv": b"text\n" + b"a\n" * 2**16})
    content = Path("file").read_bytes()
    size = (5 + 2 * 2**16).to_bytes(4, "little")
    Path("file").write_bytes(content.replace(size, (100).to_bytes(4, "little")))

    with pytest.raises(DataError):
        read()


def test_a_zip_file_whose_file_has_no_name_is_refused():
    zipped({"a": "text\na\n"})
    content = bytearray(Path("file").read_bytes())
    directory = content.index(b"PK\x01\x02")
    for name in (30, directory + 46):
        content[name] = 0  # zipfile ends a name at NUL
    Path("file").write_bytes(bytes(content))

    with pytest.raises(DataError, match="contains no file"):
        read()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_compression_of_zip_files_is_read_or_refused_if_it_is_damaged(method):
    with zipfile.ZipFile("file", "w", method) as archive:
        archive.writestr("a.csv", "text\n" + "a\n" * 1_000)
    assert len(read()[0][2]) == 1_000
    content = bytearray(Path("file").read_bytes())
    content[45:60] = bytes(15)
    Path("file").write_bytes(bytes(content))

    with pytest.raises(DataError):
        read()


def test_an_encrypted_zip_file_is_refused():
    zipped({"a.csv": "text\na\n"})
    content = bytearray(Path("file").read_bytes())
    content[6] |= 1  # the flag, in the header of the file and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    Path("file").write_bytes(bytes(content))

    with pytest.raises(DataError, match="encrypted"):
        read()


class Input:
    def __init__(self, content):
        self.buffer = io.BytesIO(content)


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_standard_input_is_read_like_a_file(monkeypatch, compress):
    monkeypatch.setattr(sys, "stdin", Input(compress("text\tlabel\nnaïve\ta\n".encode("cp1252"))))

    assert read(STANDARD_INPUT) == [
        ("", "CSV, delimiter tab, cp1252 (guessed)", [("standard input, line 2", {"text": "naïve", "label": "a"})])
    ]


def test_parquet_comes_through_standard_input_too(monkeypatch):
    content = io.BytesIO()
    pd.DataFrame({"text": ["a"]}).to_parquet(content)
    monkeypatch.setattr(sys, "stdin", Input(content.getvalue()))

    assert read(STANDARD_INPUT)[0][2] == [("standard input, row 1", {"text": "a"})]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ('{"text": "a", "label": ["x"]}', "JSON lines"),
        (
            '\n\n{"data": {"text": "a"}, "meta": {"text": "b"}}\n{"data": {"text": "c"}, "meta": {"text": "d"}}',
            "JSON lines",
        ),
        ('{\n"text": "a"}', "JSON"),
        ('[{"text": "a"}]', "JSON"),
        ('{"text": ["a"], "label": ["x"]}', "JSON, columns"),
        ('{"text": {"0": "a"}, "label": {"0": "x"}}', "JSON, columns"),
        ('{"data": {"text": "a"}, "annotations": []}', "JSON lines"),
    ],
)
def test_json_is_lines_a_list_one_object_or_columns(content, kind):
    Path("file").write_text(content, encoding="utf-8")

    [(_, found, rows)] = read()

    assert found == kind
    assert len(rows) == (2 if "\n\n" in content else 1)


SEEDS = {
    "csv": b'text;label\n"a;b";x\n"c\nd";y\n',
    "json": json.dumps(ROWS, indent=1).encode(),
    "jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
    "columns": json.dumps({"text": {"0": "a"}, "label": {"0": "b"}}).encode(),
    "gzip": gzip.compress(b"text,label\na,b\n", mtime=0),
}


WRITERS = {
    "zip": lambda: zipped({"a.csv": SEEDS["csv"]}),
    "two": lambda: zipped({"a.csv": SEEDS["csv"], "b.json": SEEDS["json"]}),
    "excel": lambda: excel([["text", "label"], ["a", "b"]]),
    "parquet": lambda: pd.DataFrame({"text": ["a", "b"], "label": ["x", "y"]}).to_parquet("file"),
}


@cache  # Excel has the time in it
def seed(kind):
    if kind in SEEDS:
        return SEEDS[kind]
    WRITERS[kind]()
    return Path("file").read_bytes()


@pytest.mark.parametrize("kind", [*SEEDS, *WRITERS])
@given(data=st.data())
@settings(max_examples=150)
def test_damaged_files_are_read_or_refused(kind, data):
    damaged = bytearray(seed(kind))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(damaged)))
        end = min(len(damaged), start + data.draw(st.sampled_from([0, 1, 1, 4, 1000])))
        damaged[start:end] = data.draw(
            st.one_of(st.binary(max_size=4), st.sampled_from([b"\0", b'"', b"[" * 3_000, b"\xff"]))
        )
    Path("file").write_bytes(bytes(damaged))

    try:
        parts = read()
    except DataError:
        return
    assert all(isinstance(row, dict) for _, _, rows in parts for _, row in rows)
