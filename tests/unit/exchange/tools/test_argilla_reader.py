"""Only submitted responses of Argilla are votes, and records that do not say which are submitted give none."""

import json
from pathlib import Path

import datasets
import pandas as pd
import pytest

from al_learner.core.errors import DataError
from tests.support.exports import EXPORTS, read
from tests.unit.exchange.tools.test_label_studio_reader import VOTES

OWN = EXPORTS / "argilla"

ANN, BEN = "9358d20b-ba4f-5476-8abe-45eaf80fe686", "da260486-7537-5921-b6bc-0d57142065bf"


def test_the_flattened_records_say_what_is_submitted():
    found = read(OWN / "flat.json")

    assert found.kind == "Argilla records (JSON)"
    assert {(i, {ANN: "a", BEN: "b"}[who], label) for i, who, label in found.votes} == VOTES
    assert len(found.votes) == len(VOTES)
    assert list(found.texts) == [f"Q-{number:02}" for number in range(1, 13)]
    assert found.left_out == {"discarded": 1, "drafts": 1, "predictions": 4}


def test_nested_records_give_no_votes_unless_the_user_knows_better():
    with pytest.raises(DataError, match=r"nested\.json, item 1: .*flatten=True.*--assume-submitted"):
        read(OWN / "nested.json")

    found = read(OWN / "nested.json", assume_submitted=True)
    assert len(found.votes) == len(VOTES) + 2  # the draft and the skip look like votes
    assert found.left_out == {"predictions": 4}


def test_the_texts_of_nested_records_need_no_status():
    assert len(read(OWN / "nested.json", needs_votes=False).texts) == 12


def written(*records):
    Path("records.json").write_text(json.dumps(records), encoding="utf-8")
    return Path("records.json")


def flat(values, statuses, name="topic", **more):
    users = [f"user {number}" for number in range(len(values))]
    column = f"{name}.responses"
    lists = {column: values, f"{column}.users": users, f"{column}.status": statuses}
    return {"id": "r-1", "status": "completed", "_server_id": None, "text": "a text", **lists, **more}


def test_a_response_without_a_status_is_no_vote():
    found = read(written(flat(["a", "b", "c", None], ["submitted", None, "pending", "submitted"])))

    assert found.votes == [("r-1", "user 0", "a")]
    assert found.left_out == {"without a status": 2, "unanswered": 1}


def test_several_questions_are_listed_and_one_can_be_chosen():
    path = written(flat(["a"], ["submitted"]) | flat([3], ["submitted"], name="rating"))

    with pytest.raises(DataError, match="several questions: 'topic', 'rating'"):
        read(path)
    assert read(path, question="rating").votes == [("r-1", "user 0", "3")]
    assert read(path, needs_votes=False).texts == {"r-1": "a text"}


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (flat([["a", "b"]], ["submitted"]), "several choices on one text"),
        (flat([[{"start": 0}]], ["submitted"]), "no label but a part of a text"),
        (flat([{"rank": 1}], ["submitted"]), "the answer is no label"),
        (flat(["a"], ["submitted", "draft"]), "has 1 values, 1 users and 2 statuses"),
        (flat("a", ["submitted"]), "must be lists"),
        (flat(["a"], None), "do not say which responses are submitted"),
        (flat(["a"], ["submitted"], text=None), "the text is missing"),
    ],
)
def test_what_is_no_single_label_of_a_text_is_refused_with_its_place(record, says):
    with pytest.raises(DataError, match=rf"^records\.json, item 2: .*{says}"):
        read(written(flat(["a"], ["submitted"], id="r-0"), record))


def nested(responses, **more):
    return {"id": "r-1", "fields": {"review": "a text"}, "responses": responses, "suggestions": {}, **more}


def test_the_only_field_is_the_text_and_a_status_in_nested_records_is_believed():
    responses = [
        {"value": "a", "user_id": "u", "status": "submitted"},
        {"value": "b", "user_id": "v", "status": "draft"},
    ]

    found = read(written(nested({"topic": responses})))

    assert found.texts == {"r-1": "a text"}
    assert (found.votes, found.left_out) == ([("r-1", "u", "a")], {"drafts": 1})


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (nested({"topic": "a"}), "the responses to 'topic' must be a list of objects"),
        (nested([]) | {"responses": [{"question": "topic"}]}, "`responses` must be an object"),
        (nested({}, fields={"prompt": "a", "answer": "b"}), r"--column text=fields\.NAME"),
        (nested({}, fields={"image": "data:image/png;base64,AAAA"}), "this is about 'image'"),
    ],
)
def test_nested_records_of_another_kind_are_refused_with_their_place(record, says):
    with pytest.raises(DataError, match=rf"^records\.json, item 1: .*{says}"):
        read(written(record))


def test_a_field_can_be_named_by_its_path():
    path = written(nested({}, fields={"prompt": "a", "answer": "b"}))

    assert read(path, columns={"text": "fields.answer"}).texts == {"r-1": "b"}


def test_a_dataset_of_flat_records_is_read_with_the_names_of_its_class_labels():
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "status": datasets.Value("string"),
            "_server_id": datasets.Value("string"),
            "text": datasets.Value("string"),
            "topic.responses": datasets.List(datasets.ClassLabel(names=["a", "b"])),
            "topic.responses.users": datasets.List(datasets.Value("string")),
            "topic.responses.status": datasets.List(datasets.Value("string")),
        }
    )
    record = flat(["b", "a"], ["submitted", "draft"], _server_id="s")
    dataset = datasets.Dataset.from_dict({name: [value] for name, value in record.items()}, features=features)
    dataset.to_parquet("records.parquet")

    for source in (dataset, "records.parquet"):
        found = read(source)
        assert (found.votes, found.left_out) == ([("r-1", "user 0", "b")], {"drafts": 1})


def test_a_frame_of_flat_records_is_read():
    frame = pd.DataFrame([flat(["a"], ["submitted"]), flat(["a"], ["submitted"], id="r-2", name="other")])

    assert read(frame, question="topic").votes == [("r-1", "user 0", "a")]
    frame.to_parquet("records.parquet")
    assert read(pd.read_parquet("records.parquet"), question="other").votes == [("r-2", "user 0", "a")]


def test_a_table_has_no_questions():
    with pytest.raises(
        DataError, match=r"a table \(list of dicts\) no question has a name, so none is 'topic'; .*--column label=NAME"
    ):
        read([{"text": "a", "topic": "b"}], question="topic")
