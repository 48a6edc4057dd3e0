"""Truncated, mixed, foreign and hostile exports give their records or a DataError, and nothing else."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_learner.core.errors import DataError
from tests.support.exports import EXPORTS, read

FILES = sorted(
    path
    for path in EXPORTS.rglob("*")
    if path.suffix in {".json", ".jsonl", ".csv", ".zip"} and path.stat().st_size < 30_000
)

NAMES = [
    "text", "data", "label", "labels", "id", "text_id", "external_id", "meta", "metadata", "fields", "responses",
    "suggestions", "topic", "topic.responses", "topic.responses.users", "topic.responses.status", "status", "value",
    "user_id", "annotations", "predictions", "drafts", "result", "type", "choices", "from_name", "was_cancelled",
    "completed_by", "email", "created_at", "updated_at", "answer", "accept", "options", "spans", "_task_hash",
    "_input_hash", "_annotator_id", "_timestamp", "_server_id", "annotation_id", "annotator", "lead_time", "Comments",
]  # fmt: skip

ODD = st.sampled_from(
    [
        None, True, False, 0, -1, 10**400, -(10**20), 1e308, float("nan"), float("inf"), "", " ", "\0", "\ud800",
        "accept", "reject", "ignore", "submitted", "choices", "2024-13-40T99:99:99", "0001-01-01", "\ufeff", "a#b",
        "9999-12-31T23:59:59-23:59", "x" * 300, "=1+1", [], {}, [[]], [None], {"choices": []}, {"id": None},
        {"choices": ["a", "b"]},
    ]
)  # fmt: skip

VALUES = st.recursive(
    st.one_of(ODD, st.text(max_size=5), st.integers()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)),
    max_leaves=12,
)


def read_or_refuse(source, **options):
    try:
        found = read(source, **options)
    except DataError as exc:
        assert len(str(exc)) < 2_000  # noqa: PT017 - both ends are right, and this is about one of them
        return None
    assert all(isinstance(text, str) for text in found.texts.values())
    assert all(label and len(label) <= 50 and "\0" not in label for _, _, label in found.votes)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(EXPORTS)))
@given(data=st.data())
@settings(max_examples=25)
def test_a_damaged_export_is_read_or_refused(path, data):
    damaged = bytearray(path.read_bytes())
    start = data.draw(st.integers(0, len(damaged)))
    end = data.draw(st.sampled_from([start, start + 1, start + 40, len(damaged)]))
    other = data.draw(st.sampled_from(FILES)).read_bytes()
    inserted = data.draw(
        st.one_of(
            st.binary(max_size=3), st.sampled_from([b"\0", b"\xff", b"[" * 50_000, b'{"a":' * 50_000, other[:500]])
        )
    )
    damaged[start:end] = inserted
    Path("export").write_bytes(bytes(damaged))

    read_or_refuse("export")


def _records(path):
    content = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in content.splitlines() if line]
    document = json.loads(content)
    return document if isinstance(document, list) else [document]


RECORDS = {str(path.relative_to(EXPORTS)): _records(path) for path in FILES if path.suffix in {".json", ".jsonl"}}


def _places(value):
    """Yield each container in a record with each of its keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from _places(inner)


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
@settings(max_examples=40)
def test_an_export_with_an_odd_value_is_read_or_refused(name, data):
    records = copy.deepcopy(RECORDS[name])
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(list(_places(records[:5]))))
        if isinstance(container, dict) or key < len(container):
            container[key] = copy.deepcopy(data.draw(VALUES))

    read_or_refuse(records)


@given(records=st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES, min_size=1), min_size=1, max_size=4))
@settings(max_examples=200)
def test_records_of_any_names_and_values_are_read_or_refused(records):
    read_or_refuse(records)
    read_or_refuse(records, question="topic", assume_submitted=True)
    read_or_refuse(records, id_column="meta.id", columns={"text": "fields.text"})


@pytest.mark.parametrize("name", sorted(RECORDS))
@pytest.mark.parametrize("other", ["argilla/flat.json", "public/prodigy/choice.jsonl"])
def test_two_exports_in_one_file_are_refused_or_no_vote_is_made_up(name, other):
    alone = [read_or_refuse(copy.deepcopy(RECORDS[each])) for each in (name, other)]
    found = read_or_refuse(copy.deepcopy(RECORDS[name] + RECORDS[other]))

    if found is not None:
        votes = {(who, label) for each in alone if each for _, who, label in each.votes}
        assert {(who, label) for _, who, label in found.votes} <= votes


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_number_of_5000_digits_anywhere_is_read_or_refused(name):
    for number in range(len(list(_places(RECORDS[name][:3])))):
        records = copy.deepcopy(RECORDS[name][:3])
        container, key = list(_places(records))[number]
        container[key] = 10**5_000
        read_or_refuse(records)
