"""Exports as tables: what a row is, and that what is written is what is read again."""

from __future__ import annotations

import csv
import io
import json
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_learner.core.errors import SettingsError
from al_learner.core.exchange.output import tables
from al_learner.core.exchange.output.contents import ExportedText
from tests.support.contents import contents

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
LABELS = TEXTS.filter(bool)
EXPORTED = st.builds(
    ExportedText,
    text_id=st.integers(1, 2**31 - 1),
    external_id=st.none() | TEXTS,
    text=TEXTS,
    label=st.none() | LABELS,
    votes=st.lists(st.tuples(LABELS, st.none() | LABELS), max_size=3).map(tuple),
    prediction=st.none(),
)


def written(write, *args, **options) -> bytes:
    out = io.BytesIO()
    write(*args, out, **options)
    return out.getvalue()


def test_labels_come_as_csv_with_their_votes_as_json():
    assert written(tables.write_csv, contents("labels")).decode() == (
        "text_id,external_id,text,label,votes,annotators,agreement\n"
        '1,a-7,"The sun\nshines.",sun,"[""sun"", ""rain"", ""sun""]","[""ada@x.org"", ""ben@x.org"", null]",'
        "0.6666666666666666\n"
    )


def test_votes_have_a_row_each():
    assert written(tables.write_csv, contents("votes")).decode() == (
        "text_id,external_id,text,label,annotator\n"
        '1,a-7,"The sun\nshines.",sun,ada@x.org\n'
        '1,a-7,"The sun\nshines.",rain,ben@x.org\n'
        '1,a-7,"The sun\nshines.",sun,\n'
    )


def test_predictions_have_a_column_for_each_class_and_of_a_draw_the_first_class():
    assert written(tables.write_csv, contents("predictions")).decode() == (
        "text_id,external_id,text,predicted_label,uncertainty,clf_id,probability_rain,probability_sun\n"
        '1,a-7,"The sun\nshines.",sun,0.25,3,0.25,0.75\n'
        '2,,"It ""rains"".",rain,0.5,3,0.5,0.5\n'
    )


def test_texts_have_everything_and_json_lines_keep_what_is_nested():
    lines = written(tables.write_json_lines, contents("texts")).decode().splitlines()

    assert [json.loads(line) for line in lines] == [
        {
            "text_id": 1,
            "external_id": "a-7",
            "text": "The sun\nshines.",
            "label": "sun",
            "votes": ["sun", "rain", "sun"],
            "annotators": ["ada@x.org", "ben@x.org", None],
            "agreement": 2 / 3,
            "predicted_label": "sun",
            "uncertainty": 0.25,
            "clf_id": 3,
            "probabilities": {"rain": 0.25, "sun": 0.75},
        },
        {
            "text_id": 2,
            "external_id": None,
            "text": 'It "rains".',
            "label": None,
            "votes": [],
            "annotators": [],
            "agreement": None,
            "predicted_label": "rain",
            "uncertainty": 0.5,
            "clf_id": 3,
            "probabilities": {"rain": 0.5, "sun": 0.5},
        },
    ]


@pytest.mark.parametrize("what", tables.COLUMNS)
def test_parquet_and_a_frame_have_the_rows_of_json_lines_with_a_column_for_each_class(what):
    rows = [*tables.flat_rows(contents(what))]
    parquet = pq.read_table(io.BytesIO(written(tables.write_parquet, contents(what))))
    frame = tables.frame(contents(what))

    assert parquet.to_pylist() == rows
    assert frame.astype(object).where(frame.notna(), None).to_dict("records") == rows
    assert [*frame.columns] == parquet.column_names == [*rows[0]]


@pytest.mark.parametrize("what", tables.COLUMNS)
def test_an_export_without_rows_still_has_its_columns_with_their_types(what):
    parquet = pq.read_table(io.BytesIO(written(tables.write_parquet, contents(what, ()))))
    frame = tables.frame(contents(what, ()))

    assert (parquet.num_rows, len(frame)) == (0, 0)
    assert [*frame.columns] == parquet.column_names
    assert frame["text_id"].dtype == np.int64
    assert written(tables.write_csv, contents(what, ())).decode() == ",".join(frame.columns) + "\n"


@given(texts=st.lists(EXPORTED, max_size=4))
def test_whatever_the_texts_are_csv_and_json_lines_give_them_back(texts):
    rows = [
        {name: tables.cell(value) for name, value in row.items()} for row in tables.flat_rows(contents("labels", texts))
    ]
    out = written(tables.write_csv, contents("labels", texts))
    lines = written(tables.write_json_lines, contents("votes", texts)).decode()

    assert [*csv.DictReader(io.StringIO(out.decode(), newline=""))] == rows
    assert [json.loads(line) for line in lines.split("\n")[:-1]] == [*tables.rows(contents("votes", texts))]


def test_text_that_a_spreadsheet_takes_for_a_formula_is_exact_unless_it_is_asked_to_be_safe():
    text = ExportedText(1, "+7", "=1+1", "@x", (("@x", "-ada"),), None)
    exact, safe = (
        [*csv.reader(io.StringIO(written(tables.write_csv, contents("votes", [text]), **options).decode()))][1]
        for options in ({}, {"safe": True})
    )

    assert exact == ["1", "+7", "=1+1", "@x", "-ada"]
    assert safe == ["1", "'+7", "'=1+1", "'@x", "'-ada"]


def test_without_pyarrow_parquet_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(SettingsError, match=r"pip install 'al-learner\[files\]'"):
        tables.write_parquet(contents("labels"), io.BytesIO())


def test_without_pandas_a_frame_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(ImportError, match=r"pip install 'al-learner\[notebook\]'.*export_rows needs nothing"):
        tables.frame(contents("labels"))
