"""CSV of any dialect is read as what it is, or refused with what to say."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_learner.core.errors import DataError
from al_learner.core.exchange.containers.opening import opened

TEXTS = [
    "Das Spiel endete 2:1; wir waren dabei, und es regnete.",
    'He said "no", then left',
    "a|b, c;d",
    "tab\there",
    "Line one\nline two, with comma",
    "Größe: 12,5 cm; Gewicht: 3,2 kg",
    "simple",
    "",
]
CELLS = {"text": TEXTS, "label": ["sports", "politics", "a,b", "x;y"], "user": ["ada", "ben@example.org"], "id": ["7"]}
TABLES = st.lists(st.sampled_from(sorted(CELLS)), min_size=2, max_size=4, unique=True).flatmap(
    lambda names: st.tuples(
        st.just(names),
        st.lists(st.tuples(*(st.sampled_from(CELLS[name]) for name in names)), min_size=1, max_size=30),
    )
)


def read(name, content, **options):
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with opened(Path(name), **options) as [records]:
        return records.kind, list(records.rows)


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@given(table=TABLES)
@settings(max_examples=40)
def test_the_delimiter_and_the_quoting_are_found(delimiter, quoting, table):
    names, rows = table
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=quoting).writerows([names, *rows])

    kind, found = read("rows.csv", out.getvalue())

    assert kind == f"CSV, delimiter {'tab' if delimiter == chr(9) else repr(delimiter)}"
    assert [tuple(row.values()) for _, row in found] == rows


def test_a_name_does_not_decide_what_a_file_is():
    assert read("rows.csv", '{"text": "a"}\n')[0] == "JSON lines"
    assert read("rows.json", "text,label\na,b\n")[0] == "CSV, delimiter ','"
    assert read("rows", "text\tlabel\na\tb\n")[0] == "CSV, delimiter tab"


def test_one_column_has_commas_only_within_quotes():
    assert read("texts.csv", 'text\n"Yes, it is."\nNo\n')[1] == [
        ("texts.csv, line 2", {"text": "Yes, it is."}),
        ("texts.csv, line 3", {"text": "No"}),
    ]


def test_the_delimiter_can_be_said():
    kind, rows = read("rows.csv", "text~label, all\na~b, c\n", delimiter="~")

    assert kind == "CSV, delimiter '~'"
    assert rows == [("rows.csv, line 2", {"text": "a", "label, all": "b, c"})]
    assert read("rows.csv", "text\tlabel\n1;2\t3\n", delimiter="\\t")[1][0][1] == {"text": "1;2", "label": "3"}


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n"])
def test_a_delimiter_that_cannot_be_one_is_refused(delimiter):
    with pytest.raises(DataError, match="it must be one character"):
        read("rows.csv", "text,label\na,b\n", delimiter=delimiter)


def test_a_row_of_another_width_is_named_with_what_to_say():
    with pytest.raises(DataError, match=r"rows\.csv, line 4: 2 columns .* there are 3; .*--delimiter"):
        read("rows.csv", "text,label\na,b\n\nc,d,e\n")


def test_two_columns_with_one_name_are_refused():
    with pytest.raises(DataError, match=r"line 1: two columns have the name 'label'"):
        read("rows.csv", "text,label,label\na,b,c\n")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
def test_a_byte_order_mark_says_the_encoding(encoding):
    content = ("\ufeff" if encoding == "utf-16-le" else "") + "text;label\nnaïve;ж\n"

    assert read("rows.csv", content.encode(encoding))[1] == [("rows.csv, line 2", {"text": "naïve", "label": "ж"})]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Größe über „Fuß“, 5 €"),
        ("cp1252", "Café déjà vu à Noël, garçon"),
        ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy"),
        ("cp1251", "Новый нападающий клуба забил гол"),
        ("cp932", "国会は今日投票する"),
        ("cp1253", "Ελληνική γλώσσα σήμερα"),
    ],
)
def test_another_encoding_is_guessed_and_said(encoding, text):
    kind, rows = read("rows.csv", f"text;label\n{text};x\nplain;y\n".encode(encoding))

    assert kind == f"CSV, delimiter ';', {encoding} (guessed)"
    assert [row["text"] for _, row in rows] == [text, "plain"]


def test_an_encoding_is_found_wherever_its_first_character_is():
    lines = "text,label\n" + "plain ASCII,x\n" * 200_000 + "naïve,y\n"

    assert read("rows.csv", lines.encode("cp1252"))[1][-1] == ("rows.csv, line 200002", {"text": "naïve", "label": "y"})


def test_an_encoding_that_is_said_is_not_guessed():
    content = "text,label\n5 €,x\n".encode("iso8859_15")

    kind, rows = read("rows.csv", content, encoding="iso8859_15")

    assert kind == "CSV, delimiter ',', iso8859_15"
    assert rows[0][1]["text"] == "5 €"
    with pytest.raises(DataError, match=r"rows\.csv, line 2: not UTF-8: .*--encoding"):
        read("rows.csv", content, encoding="utf-8")


@pytest.mark.parametrize("encoding", ["utf-9", "rot13", "base64", "", "a\0b"])
def test_an_encoding_that_is_none_is_refused(encoding):
    with pytest.raises(DataError, match="there is no encoding"):
        read("rows.csv", "text,label\na,b\n", encoding=encoding or "no such")


def test_bytes_that_are_no_text_are_refused_with_their_line():
    with pytest.raises(DataError, match=r"rows\.csv, line 3: not UTF-8: .*--encoding"):
        read("rows.csv", b"text\nok\n" + bytes(range(128, 160)) * 10)
