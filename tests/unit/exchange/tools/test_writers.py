"""What other tools are given: each record as the tool's importer reads it."""

from __future__ import annotations

import io
import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_learner.core.errors import DataError, SettingsError
from al_learner.core.exchange.output.contents import ClassProbabilities, ExportedText
from al_learner.core.exchange.output.formats import FORMATS, TOOLS, WriteOptions, format_of, write
from tests.support.contents import WEATHER, contents

ADA, BEN = "f3b1c9a2-0000-4000-8000-000000000001", "f3b1c9a2-0000-4000-8000-000000000002"
USERS = {"ada@x.org": ADA, "ben@x.org": BEN, "": ADA.replace("1", "3")}

ONE_VOTE = (ExportedText(7, None, "Fog.", "fog", (("fog", None),), None),)


def records(what, form, texts=WEATHER, *, annotators=None, names=None, **options):
    """Return what is written, read again, and the warnings."""
    out = io.BytesIO()
    warnings = write(contents(what, texts, **options), out, WriteOptions(form, names or {}, annotators or {}))
    text = out.getvalue().decode()
    read = json.loads(text) if TOOLS[form].is_list else [json.loads(line) for line in text.split("\n")[:-1]]
    return read, warnings


# -- Label Studio -------------------------------------------------------------------------------------------------

CHOICE = {"from_name": "label", "to_name": "text", "type": "choices"}
SUN, RAIN = ([{**CHOICE, "value": {"choices": [label]}}] for label in ("sun", "rain"))
JUDGED = {"was_cancelled": False, "ground_truth": False}
DATA = {"text": "The sun\nshines.", "text_id": 1, "external_id": "a-7"}


def test_a_label_is_an_annotation_for_label_studio_by_the_first_who_voted_for_it():
    assert records("labels", "label-studio")[0] == [
        {"data": DATA, "annotations": [{"result": SUN, "completed_by": {"email": "ada@x.org"}, **JUDGED}]}
    ]


def test_every_vote_is_an_annotation_for_label_studio_and_never_the_ground_truth():
    assert records("votes", "label-studio")[0] == [
        {
            "data": DATA,
            "annotations": [
                {"result": SUN, "completed_by": {"email": "ada@x.org"}, **JUDGED},
                {"result": RAIN, "completed_by": {"email": "ben@x.org"}, **JUDGED},
                {"result": SUN, **JUDGED},
            ],
        }
    ]


def test_a_prediction_has_its_score_and_its_classifier_for_label_studio():
    assert records("predictions", "label-studio")[0] == [
        {"data": DATA, "predictions": [{"result": SUN, "score": 0.75, "model_version": "al_learner-3"}]},
        {
            "data": {"text": 'It "rains".', "text_id": 2},
            "predictions": [{"result": RAIN, "score": 0.5, "model_version": "al_learner-3"}],
        },
    ]


def test_texts_are_tasks_without_annotations_for_label_studio():
    assert records("texts", "label-studio")[0] == [
        {"data": DATA, "annotations": []},
        {"data": {"text": 'It "rains".', "text_id": 2}, "annotations": []},
    ]
    assert records("texts", "label-studio", ())[0] == []


def test_names_are_those_of_the_project_in_label_studio():
    names = {"from_name": "weather", "to_name": "report", "text": "body"}
    [task], _ = records("labels", "label-studio", names=names)

    assert task["data"] == {"body": "The sun\nshines.", "text_id": 1, "external_id": "a-7"}
    assert task["annotations"][0]["result"][0] == {**SUN[0], "from_name": "weather", "to_name": "report"}
    with pytest.raises(DataError, match="'text_id' in `data`: that is the key of an id"):
        records("labels", "label-studio", names={"text": "text_id"})


def test_an_annotator_without_an_address_is_named_before_anything_is_written():
    text = ExportedText(1, None, "text", "a", (("a", "ada"), ("a", "ben")), None)

    with pytest.raises(DataError, match=r"'ada', 'ben'\. .*--annotator 'ada=EMAIL', or leave out all with --anon"):
        records("votes", "label-studio", [text])
    [task], _ = records("votes", "label-studio", [text], annotators={"ada": "a@x.org", "ben": "b@x.org"})
    assert [each["completed_by"]["email"] for each in task["annotations"]] == ["a@x.org", "b@x.org"]
    assert records("texts", "label-studio", [text])[0]


def test_votes_without_a_name_can_be_somebody_s():
    [task], _ = records("votes", "label-studio", ONE_VOTE, annotators={"": "all@x.org"})

    assert task["annotations"][0]["completed_by"] == {"email": "all@x.org"}


# -- doccano ------------------------------------------------------------------------------------------------------


def test_labels_are_lists_for_doccano_and_texts_have_an_empty_one():
    sun, rain = (
        {"text": "The sun\nshines.", "label": ["sun"], "text_id": 1, "external_id": "a-7"},
        {"text": 'It "rains".', "label": [], "text_id": 2},
    )
    assert records("labels", "doccano")[0] == [sun]
    assert records("texts", "doccano")[0] == [{**sun, "label": []}, rain]
    [renamed], _ = records("labels", "doccano", names={"text": "data", "label": "class"})
    assert renamed == {"data": "The sun\nshines.", "class": ["sun"], "text_id": 1, "external_id": "a-7"}


@pytest.mark.parametrize(
    ("what", "says"), [("predictions", "doccano has no predictions"), ("votes", "doccano keeps neither several labels")]
)
def test_what_doccano_does_not_have_is_refused(what, says):
    with pytest.raises(DataError, match=says):
        records(what, "doccano")


def test_a_column_of_doccano_cannot_be_that_of_an_id():
    with pytest.raises(DataError, match="'external_id': that is the column of an id"):
        records("labels", "doccano", names={"label": "external_id"})


# -- Prodigy ------------------------------------------------------------------------------------------------------

TASK = {
    "text": "The sun\nshines.",
    "meta": {"text_id": 1, "external_id": "a-7"},
    "options": [{"id": label, "text": label} for label in ("ignored", "rain", "sun")],
    "_view_id": "choice",
    "config": {"choice_style": "single"},
}


def answered(label, annotator=None):
    by = {"_annotator_id": annotator, "_session_id": annotator} if annotator else {}
    return {**TASK, "accept": [label], "answer": "accept", **by}


def test_labels_and_votes_are_accepted_answers_for_prodigy():
    assert records("labels", "prodigy")[0] == [answered("sun", "ada@x.org")]
    assert records("votes", "prodigy")[0] == [
        answered("sun", "ada@x.org"),
        answered("rain", "ben@x.org"),
        answered("sun"),
    ]
    assert records("votes", "prodigy", annotators={"ada@x.org": "ada"})[0][0] == answered("sun", "ada")


def test_predictions_and_texts_have_no_answer_for_prodigy():
    [sun, _], _ = records("predictions", "prodigy")
    assert sun == {
        **TASK,
        "accept": ["sun"],
        "score": 0.75,
        "meta": {**TASK["meta"], "score": 0.75, "model": "al_learner-3"},
    }
    assert records("texts", "prodigy")[0][0] == TASK


# -- Argilla ------------------------------------------------------------------------------------------------------


def response(label, user):
    return {"value": label, "user_id": user, "status": "submitted"}


def test_labels_and_votes_are_submitted_responses_for_argilla():
    record = {"id": "a-7", "fields": {"text": "The sun\nshines."}}

    assert records("labels", "argilla", annotators=USERS)[0] == [
        {**record, "responses": {"label": [response("sun", ADA)]}}
    ]
    assert records("votes", "argilla", annotators=USERS) == (
        [
            {
                **record,
                "responses": {"label": [response("sun", ADA), response("rain", BEN), response("sun", USERS[""])]},
            }
        ],
        (),
    )


def test_argilla_gets_the_last_vote_of_each_annotator_and_it_is_said_how_many_are_left_out():
    text = ExportedText(7, None, "Fog.", "fog", (("sun", ADA), ("fog", BEN), ("fog", ADA)), None)

    [record], [warning] = records("votes", "argilla", [text])

    assert record["id"] == "7"
    assert record["responses"]["label"] == [response("fog", ADA), response("fog", BEN)]
    assert warning.startswith("1 votes were left out, because the same annotator")


def test_who_is_no_user_of_argilla_is_named():
    with pytest.raises(DataError, match=r"UUIDs.*'ada@x.org', 'ben@x.org'.*--annotator 'ada@x.org=UUID'"):
        records("votes", "argilla")
    with pytest.raises(DataError, match=r"text 7: the label 'fog' has no annotator.*--annotator '=UUID'"):
        records("votes", "argilla", ONE_VOTE)
    with pytest.raises(DataError, match=r"text 7: .*--annotator '=UUID'"):
        records("labels", "argilla", ONE_VOTE)


def test_predictions_are_suggestions_for_argilla_and_texts_have_none():
    names = {"field": "body", "question": "weather"}
    [sun, rain], _ = records("predictions", "argilla", names=names)

    assert sun == {
        "id": "a-7",
        "fields": {"body": "The sun\nshines."},
        "suggestions": {"weather": {"value": "sun", "score": 0.75, "agent": "al_learner-3"}},
    }
    assert rain["id"] == "2"
    assert records("texts", "argilla")[0][1] == {"id": "2", "fields": {"text": 'It "rains".'}, "responses": {}}


# -- all of them --------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
LABELS = TEXTS.filter(bool)
EXPORTED = st.builds(
    lambda number, text, votes, share: ExportedText(
        number, None, text, votes[0][0], votes, ClassProbabilities(1, {votes[0][0]: share, "other ": 1 - share})
    ),
    number=st.integers(1, 2**31 - 1),
    text=TEXTS,
    votes=st.lists(st.tuples(LABELS, st.uuids().map(str)), min_size=1, max_size=3).map(tuple),
    share=st.floats(0, 1),
)


@given(texts=st.lists(EXPORTED, max_size=3), form=st.sampled_from([*TOOLS]), what=st.sampled_from(["labels", "texts"]))
def test_whatever_the_texts_are_each_is_one_record_with_the_text_as_it_was(texts, form, what):
    emails = {annotator: f"{annotator}@x.org" for text in texts for _, annotator in text.votes}
    read, _ = records(what, form, texts, annotators=emails if form == "label-studio" else {})

    found = [record.get("data", record.get("fields", record))["text"] for record in read]
    assert found == [text.text for text in texts]
    assert all(UUID(annotator) for annotator in emails)


def test_the_name_of_a_file_says_the_format():
    from pathlib import Path

    found = {name: format_of(Path(name)) for name in ("-", "a.csv", "A.CSV.GZ", "a.b.jsonl", "x/a.parquet")}

    assert found == {"-": "csv", "a.csv": "csv", "A.CSV.GZ": "csv", "a.b.jsonl": "jsonl", "x/a.parquet": "parquet"}
    for name in ("a", "a.json", "csv", "a.xlsx.gz"):
        with pytest.raises(SettingsError, match=f"{name}: the name ends with none of .csv, .*--format csv|jsonl|"):
            format_of(Path(name))


@pytest.mark.parametrize(
    ("form", "options", "says"),
    [
        ("xml", {}, f"format 'xml': allowed are {', '.join(FORMATS)}"),
        (
            "label-studio",
            {"names": {"form_name": "x"}},
            "--name form_name: the format label-studio has text, from_name",
        ),
        ("prodigy", {"names": {"text": "x"}}, "--name text: the format prodigy has no names to choose"),
        ("csv", {"annotator_ids": {"ada": "x"}}, "--annotator: only for label-studio, doccano, prodigy, argilla"),
        ("jsonl", {"safe_csv": True}, "--safe-csv: only for csv, not for jsonl"),
    ],
)
def test_options_that_do_not_fit_the_format_are_refused(form, options, says):
    with pytest.raises(SettingsError, match=says):
        WriteOptions(form, **options)
