"""Prodigy's rejects are the other one of two labels; of more labels, and of choices, only what was accepted counts."""

import json
from pathlib import Path

import pytest

from al_learner.core.errors import DataError
from tests.support.exports import EXPORTS, read

PUBLIC = EXPORTS / "public" / "prodigy"

BINARY = PUBLIC / "annotated_github-issues-DOCUMENTATION-textcat.first330.jsonl"


def test_rejects_of_the_only_label_are_no_votes():
    found = read(BINARY)

    assert found.kind == "Prodigy annotations (JSON lines)"
    assert len(found.texts) == 330
    assert {label for _, _, label in found.votes} == {"DOCUMENTATION"}
    assert len(found.votes) == 110
    assert found.left_out == {"rejected": 193, "ignored": 27}
    assert found.texts["-1080010644"] == '"csc.exe" exited with code -532462766.\t'


def test_of_a_choice_only_what_was_accepted_is_a_vote_and_the_last_one_by_time():
    found = read(PUBLIC / "choice.jsonl")

    assert found.votes == [("n-1", "news-ada", "sports"), ("n-1", "news-ben", "politics")]
    assert list(found.texts) == ["n-1", "n-2", "n-3", "n-4"]
    assert found.labels == ["sports", "politics", "weather"]  # the options, whether chosen or not
    assert found.left_out == {"ignored": 1, "rejected": 1, "unanswered": 1, "prefilled": 1, "repeated votes": 1}


def written(*tasks):
    lines = [{"text": f"text {number}", "_task_hash": number, **task} for number, task in enumerate(tasks)]
    Path("db-out.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return Path("db-out.jsonl")


def test_the_texts_of_prodigy_have_one_question():
    with pytest.raises(DataError, match=r"in Prodigy annotations .* none is 'topic'; leave --question out"):
        read(BINARY, question="topic")


TWO = [{"label": label, "answer": answer} for label in ("+", "-") for answer in ("accept", "reject")]


def test_a_reject_of_one_of_two_labels_is_a_vote_for_the_other_one():
    found = read(written(*TWO))

    assert [label for _, _, label in found.votes] == ["+", "-", "-", "+"]
    assert found.left_out == {}
    assert found.notes == ["rejects count as votes for the other one of '+', '-': 2"]


def test_a_reject_of_the_only_label_is_left_out_and_a_note_says_what_to_do():
    found = read(written(*TWO[:2]))

    assert [label for _, _, label in found.votes] == ["+"]
    assert found.left_out == {"rejected": 1}
    (note,) = found.notes
    assert note.startswith("1 rejects of '+' are left out; they are votes for another label if you load both labels")


def test_a_reject_of_one_of_three_labels_is_no_vote():
    found = read(written(*TWO, {"label": "0", "answer": "accept"}))

    assert [label for _, _, label in found.votes] == ["+", "-", "0"]
    assert found.left_out == {"rejected": 2}


@pytest.mark.parametrize(
    ("task", "what"),
    [
        ({"label": "+"}, "unanswered"),
        ({"label": "+", "answer": "ignore"}, "ignored"),
        ({"label": "", "answer": "accept"}, "unanswered"),
        ({"options": [{"id": 1}], "accept": [1]}, "prefilled"),
        ({"options": [{"id": 1}], "accept": []}, "unanswered"),
        ({"options": [{"id": 1}], "accept": [1], "answer": "reject"}, "rejected"),
        ({"options": [{"id": 1}], "answer": "accept"}, "unanswered"),
    ],
)
def test_what_is_no_answer_is_counted(task, what):
    found = read(written({"label": "+", "answer": "accept"}, task))

    assert (len(found.votes), found.left_out) == (1, {what: 1})


def test_numbers_of_options_are_labels_and_sessions_are_annotators():
    options = [{"id": 1, "text": "one"}, {"id": 2, "text": "two"}]
    found = read(written({"options": options, "accept": [2], "answer": "accept", "_session_id": "news-ada"}))

    assert found.votes == [("text 0", "news-ada", "2")]
    assert found.labels == ["1", "2"]


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ({"options": [{"id": 1}], "accept": [1, 2], "answer": "accept"}, "several choices on one text"),
        ({"image": "x.png", "answer": "accept", "label": "a"}, "this is no text"),
        ({"spans": [{"start": 0, "end": 4, "label": "PER"}], "answer": "accept"}, "these are spans"),
        ({"options": [1], "answer": "accept"}, "`options` must be a list of objects"),
        ({"label": ["a"], "answer": "accept"}, r"the label is \['a'\], not a string"),
        ({"label": "a", "answer": "accept", "text": 3}, "the text is 3, not a string"),
    ],
)
def test_what_is_no_single_label_of_a_text_is_refused_with_its_place(task, says):
    with pytest.raises(DataError, match=rf"^db-out\.jsonl, line 2: .*{says}"):
        read(written({"label": "+", "answer": "accept"}, task))


def test_answers_without_hashes_are_recognised_or_a_reject_would_be_a_vote():
    Path("answers.csv").write_text("text,label,answer\na,x,accept\nb,x,reject\nc,x,\n", encoding="utf-8")

    found = read("answers.csv")

    assert found.votes == [("a", "", "x")]
    assert found.left_out == {"rejected": 1, "unanswered": 1}


def test_an_answer_that_is_none_is_refused_where_it_comes_late():
    path = written(*[{"label": "+", "answer": "accept"}] * 100, {"label": "+", "answer": "maybe"})

    with pytest.raises(DataError, match=r"line 101: the answer is 'maybe'; allowed: accept, reject, ignore"):
        read(path)
