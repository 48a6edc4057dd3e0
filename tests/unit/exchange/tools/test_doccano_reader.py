"""The annotators of a doccano export are the names of its files, and an empty list of labels is no vote."""

import json
import zipfile
from pathlib import Path

import pytest

from al_learner.core.errors import DataError
from tests.support.exports import EXPORTS, read
from tests.unit.exchange.tools.test_label_studio_reader import VOTES

PUBLIC, OWN = EXPORTS / "public" / "doccano", EXPORTS / "doccano"


@pytest.mark.parametrize(("name", "sharp"), [("members-jsonl.zip", "c#"), ("members-csv.zip", "csharp")])
def test_the_zip_file_of_a_project_has_the_votes_of_its_members(name, sharp):
    found = read(OWN / name)

    assert found.kind.startswith("doccano export (zip of 2 files, ")
    assert {(i, who[0], label.replace(sharp, "c#")) for i, who, label in found.votes} == VOTES
    assert {who for _, who, _ in found.votes} == {"ann", "ben"}
    assert len(found.texts) == 12
    assert found.left_out == {"unlabelled": 12}  # 24 rows, 12 labels
    assert found.notes == []


@pytest.mark.parametrize("name", ["collaborative-jsonl.zip", "collaborative-csv.zip"])
def test_a_collaborative_project_has_no_annotators_and_that_is_said(name):
    found = read(OWN / name)

    assert len(found.votes) == 8
    assert {who for _, who, _ in found.votes} == {""}
    assert found.left_out == {"unlabelled": 4}
    assert "does not say who gave the labels" in found.notes[0]


def test_published_files_are_read():
    texts = ["Terrible customer service.", "Really great transaction.", "Great price."]
    votes = [(text, "", label) for text, label in zip(texts, ("negative", "positive", "positive"), strict=True)]

    assert read(PUBLIC / "export_example.jsonl").votes == votes
    assert read(PUBLIC / "export_example.jsonl").kind == "doccano export (JSON lines)"
    assert read(PUBLIC / "export_example.csv").votes == votes


def test_several_labels_of_one_text_are_refused_with_their_place():
    with pytest.raises(
        DataError, match=r"import_test_example\.jsonl, line 2: several choices .*'positive', 'negative'"
    ):
        read(PUBLIC / "import_test_example.jsonl")


def written(*records):
    Path("ann.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return Path("ann.jsonl")


def test_a_file_is_no_annotator_because_of_its_name_alone():
    assert read(written({"id": 1, "text": "a", "label": ["x"]})).votes == [("1", "", "x")]


def test_an_id_in_the_metadata_is_found():
    path = written({"id": 1, "text": "a", "label": ["x"], "meta": {"wiki": 7}, "source": "p-1"})

    assert list(read(path, id_column="source").texts) == ["p-1"]
    assert list(read(path, id_column="meta.wiki").texts) == ["7"]


@pytest.mark.parametrize(
    ("label", "says"),
    [([[0, 5, "PER"]], "no label but a part of a text"), ([{"label": "x"}], "no label but a part"), ([3.5], "is 3.5")],
)
def test_what_is_no_label_is_refused_with_its_place(label, says):
    with pytest.raises(DataError, match=rf"ann\.jsonl, line 2: .*{says}"):
        read(written({"text": "a", "label": ["x"]}, {"text": "b", "label": label}))


def test_a_sharp_in_csv_may_join_labels_so_it_is_refused():
    Path("all.csv").write_text("id,text,label,Comments\n1,a,x#y,\n", encoding="utf-8")

    with pytest.raises(DataError, match=r"all\.csv, line 2: the label is 'x#y', which may be several.*JSONL"):
        read("all.csv")


def test_a_zip_file_of_two_tables_is_no_export():
    with zipfile.ZipFile("two.zip", "w") as archive:
        archive.writestr("a.csv", "text,label\na,b\n")
        archive.writestr("b.csv", "text,label\na,b\n")

    with pytest.raises(DataError, match=r"two\.zip, a\.csv: this and 1 more files are no export of one tool"):
        read("two.zip")


def test_labels_with_users_beside_them_are_not_those_of_doccano():
    with pytest.raises(DataError, match=r"line 1: the label is \['x'\], not a string"):
        read(written({"text": "a", "labels": ["x"], "users": ["ada"]}))
