"""Only submitted choices of a text are votes; the rest of a Label Studio export is counted, or refused by name."""

import copy
import json
from pathlib import Path

import pytest

from al_learner.core.errors import DataError
from tests.support.exports import EXPORTS, read

PUBLIC, OWN = EXPORTS / "public" / "label-studio", EXPORTS / "label-studio"

VOTES = {
    *((f"Q-0{number}", name, label) for number, label in ((1, "python"), (2, "python"), (3, "sql")) for name in "ab"),
    ("Q-04", "a", "c#"),
    ("Q-04", "b", "sql"),
    ("Q-05", "a", "sql"),
    ("Q-06", "b", "c#"),
    ("Q-07", "b", "python"),
    ("Q-09", "a", "sql"),
}
"""See SOURCES.md of the exports; a is the first annotator, b the second one."""


def test_the_json_export_has_votes_skips_drafts_and_predictions():
    found = read(OWN / "snapshot.json", id_column="ref")

    assert found.kind == "Label Studio export (JSON)"
    assert {(i, name[0], label) for i, name, label in found.votes} == VOTES
    assert {name for _, name, _ in found.votes} == {"ann@example.org", "ben@example.org"}
    assert len(found.votes) == 12
    assert sorted(found.texts) == [f"Q-{number:02}" for number in range(1, 13)]
    assert found.left_out == {"skipped": 2, "drafts": 1, "predictions": 4}
    assert found.notes == []


def test_annotators_that_are_numbers_are_votes_and_a_note_says_where_their_names_are():
    found = read(OWN / "export.json", id_column="ref")

    assert {(i, "ab"[int(name) - 1], label) for i, name, label in found.votes} == VOTES
    assert found.left_out == {"skipped": 2, "drafts": 1, "predictions": 4}
    assert len(found.notes) == 1
    assert "only_id=false" in found.notes[0]


@pytest.mark.parametrize("name", ["export-min.json", "export.csv", "snapshot-min.json", "snapshot.csv"])
def test_the_flat_exports_have_the_same_votes_without_the_text_that_was_only_skipped(name):
    found = read(OWN / name, id_column="ref")

    called = {"ann@example.org": "a", "ben@example.org": "b", "1": "a", "2": "b"}
    assert {(i, called[who], label) for i, who, label in found.votes} == VOTES
    assert len(found.votes) == 12
    assert sorted(found.texts) == [f"Q-{number:02}" for number in range(1, 13) if number != 10]
    assert found.left_out == {"unanswered": 3}


def test_without_an_id_in_the_data_the_number_of_the_task_is_the_id():
    assert list(read(OWN / "snapshot.json").texts) == [str(number) for number in range(1, 13)]


def test_an_id_in_the_metadata_is_found():
    assert "thread-1" in read(OWN / "snapshot.json", id_column="thread").texts
    assert "thread-1" in read(OWN / "snapshot.json", id_column="meta.thread").texts


def test_an_id_that_is_not_there_is_named_with_what_there_is():
    with pytest.raises(DataError, match=r"snapshot\.json, item 1: no id in 'rev'; .*'data\.ref'"):
        read(OWN / "snapshot.json", id_column="rev")


def test_json_min_says_by_the_order_of_its_keys_what_the_answer_is_and_csv_does_not():
    assert len(read(OWN / "snapshot-min.json").votes) == 12
    with pytest.raises(
        DataError, match=r"snapshot\.csv: one of these columns has the labels: 'ref', 'topic'.*--question"
    ):
        read(OWN / "snapshot.csv")
    assert len(read(OWN / "snapshot.csv", question="topic").votes) == 12


@pytest.mark.parametrize(
    ("name", "options", "texts", "votes", "left_out"),
    [
        ("sdk_csv_test_history.json", {}, 1, [("6141", "sergei@heartex.test", "Positive")], {}),
        ("sdk_csv_test_colliding_keys_mixed.json", {}, 2, [("1", "annotator@example.com", "positive")], {}),
        (
            "sdk_csv_test2.json",
            {"columns": {"text": "title"}},
            1,
            [("4", "test@heartex.com", 'Yes " "" \n \t \t \u0430 \u0431 \u0432 \n')],
            {},
        ),
        ("text_with_2_predictions.json", {}, 1, [], {"predictions": 2}),
        (
            "tasks_annotations_predictions.json",
            {},
            6,
            [
                ("Test example phrase 1", "", "class_A"),
                ("x2", "", "class_A"),
                ("x2", "", "class_A"),
                ("yoyo", "", "class_TESTING"),
            ],
            {"predictions": 3},
        ),
    ],
)
def test_published_files_are_read(name, options, texts, votes, left_out):
    found = read(PUBLIC / name, **options)

    assert (len(found.texts), found.votes, found.left_out) == (texts, votes, left_out)


def test_a_task_about_an_image_is_refused():
    with pytest.raises(DataError, match=r"previous_export\.json, item 1: this is about 'image' and has no text"):
        read(PUBLIC / "previous_export.json")


def test_a_text_of_another_name_is_asked_for():
    with pytest.raises(DataError, match=r"item 1: no text under 'text'.*'title'.*--column text=data\.NAME"):
        read(PUBLIC / "sdk_csv_test2.json")
    with pytest.raises(DataError, match=r"no 'titel' \(did you mean 'title'\?\)"):
        read(PUBLIC / "sdk_csv_test2.json", columns={"text": "titel"})


def test_the_tab_separated_export_is_recognised():
    with pytest.raises(DataError, match=r"one of these columns has the labels: '_row_id'"):
        read(PUBLIC / "sdk_csv_test2_result.csv", columns={"text": "title"})
    found = read(PUBLIC / "sdk_csv_test2_result.csv", columns={"text": "title"}, question="uri_1")
    assert found.kind == "Label Studio export with a row for each annotation (CSV, delimiter tab)"
    assert found.votes == [("4", "test@heartex.com", "spotify:work:c7bb9c90f3eb4911a851c73bd48fc219")]


def choice(*labels, name="topic", kind="choices"):
    return {"from_name": name, "to_name": "text", "type": kind, "value": {kind: list(labels)}}


def annotation(*results, by=1, **more):
    return {"completed_by": by, "result": list(results), "was_cancelled": False, **more}


def task(*annotations, text="a text", **more):
    return {"id": 1, "data": {"text": text}, "annotations": list(annotations), "drafts": [], "predictions": [], **more}


def written(*tasks):
    Path("export.json").write_text(json.dumps(tasks), encoding="utf-8")
    return Path("export.json")


def test_several_questions_are_listed_and_one_can_be_chosen():
    path = written(task(annotation(choice("a"), choice("long", name="length")), annotation(choice("b"), by=2)))

    with pytest.raises(DataError, match=r"several questions: 'topic', 'length'.*--question NAME"):
        read(path)
    with pytest.raises(DataError, match=r"no question 'topics' \(did you mean 'topic'\?\)"):
        read(path, question="topics")
    found = read(path, question="topic")
    assert found.votes == [("1", "1", "a"), ("1", "2", "b")]
    assert found.left_out == {"other answers": 1}
    assert read(path, question="length").votes == [("1", "1", "long")]


@pytest.mark.parametrize(
    ("annotations", "says"),
    [
        ([annotation(choice("a", "b"))], "item 1, annotation 1: several choices on one text: 'a', 'b'"),
        ([annotation(choice("a"), choice("b"))], "item 1, annotation 1: several choices on one text: 'a', 'b'"),
        ([annotation(choice("a", kind="labels"))], "item 1, annotation 1: the answers have no choices but 'labels'"),
        ([annotation(choice(["Animals", "Cat"]))], "this is no label but a part"),
        ([annotation({"type": "choices", "from_name": "topic", "value": {"choices": "a"}})], "must be a list"),
        ([{"result": "a"}], "`result` must be a list of objects"),
        ([17], "only the number of an annotation"),
        ([annotation(choice("x" * 51))], "annotation 1: the label has 51 characters; at most 50"),
        ([annotation(choice("a"), by=True)], "annotation 1: the user is True, not a string"),
        ([annotation(choice(3.5))], "annotation 1: the label is 3.5, not a string"),
    ],
)
def test_what_is_no_single_label_of_a_text_is_refused_with_its_place(annotations, says):
    with pytest.raises(DataError, match=f"^export.json.*{says}"):
        read(written(task(*annotations)))


def test_the_texts_can_be_had_from_a_project_whose_answers_are_no_labels():
    found = read(written(task(annotation(choice("a", kind="labels")))), needs_votes=False)

    assert (found.texts, found.votes) == ({"1": "a text"}, [])


def test_answers_that_are_none_are_counted():
    nothing = [annotation(), annotation(choice()), annotation(choice("a"), was_cancelled=True), {"skipped": True}]
    answered = task(annotation(choice("b")), drafts=[3, {"result": []}], predictions=[{"result": []}, 9])

    found = read(written(task(*nothing, id=2), answered))

    assert found.votes == [("1", "1", "b")]
    assert found.left_out == {"unanswered": 2, "skipped": 2, "drafts": 2, "predictions": 2}


def test_of_several_votes_of_one_annotator_the_last_one_counts():
    times = ["2024-01-02T00:00:00Z", "2024-01-03T00:00:00+02:00", "2024-01-01T00:00:00.5"]
    same = [
        annotation(choice(label), by={"email": "ada@x.org"}, updated_at=at)
        for label, at in zip("abc", times, strict=True)
    ]
    other = annotation(choice("d"), by={"id": 7, "email": ""}, created_at="2024-01-02T10:00:00Z")

    found = read(written(task(*same, other)))

    assert found.votes == [("1", "7", "d"), ("1", "ada@x.org", "b")]  # by their times
    assert found.left_out == {"repeated votes": 2}


def test_the_ids_that_an_export_of_al_learner_wrote_come_back():
    ours = {
        "data": {"text": "a", "text_id": 12, "external_id": "Q-1"},
        "annotations": [annotation(choice("x"))],
        "id": 4,
    }
    nameless = {"data": {"text": "b", "text_id": 13}, "annotations": [annotation(choice("x"))], "id": 5}

    assert list(read(written(ours, nameless)).texts) == ["Q-1", "b"]


def test_an_id_with_another_text_is_refused():
    with pytest.raises(DataError, match=r"item 2: the id '1' is that of export\.json, item 1 too"):
        read(written(task(), task(text="another text")))


def test_a_project_of_one_task_is_recognised_as_a_line_and_over_several_lines():
    one = task(annotation(choice("a")))
    for content in (json.dumps(one), json.dumps(one, indent=1)):
        Path("export.json").write_text(content, encoding="utf-8")
        assert read("export.json").votes == [("1", "1", "a")]


def test_the_same_records_from_memory_are_read_like_a_file():
    tasks = [task(annotation(choice("a")))]

    found = read(copy.deepcopy(tasks))

    assert found.kind == "Label Studio export (JSON)"
    assert found.votes == [("1", "1", "a")]
