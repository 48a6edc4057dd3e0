"""`al-learner export` and `predict`, as a person runs them."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from al_learner.cli import EXIT_ERROR
from tests.acceptance.conftest import AL_LEARNER, FAST, Cli

EXIT_USAGE = 2


@pytest.fixture
def trained(cli: Cli, project: str) -> str:
    """The project with a dozen votes and a classifier; return its URL."""
    assert cli("load", "votes", "votes.csv", "--database", project).returncode == 0
    assert cli("train", "--force", "--database", project, **FAST).returncode == 0
    return project


def table(text: str) -> list[dict[str, str]]:
    return [*csv.DictReader(io.StringIO(text, newline=""))]


def test_votes_are_exported_and_loaded_into_another_project(command: Cli, cli: Cli, trained: str) -> None:
    first = command("export", "votes", "out.jsonl.gz", "--database", trained)
    assert (first.returncode, first.stdout, first.stderr) == (0, "votes of 12 texts written to out.jsonl.gz\n", "")
    texts = command("export", "texts", "texts2.csv", "--database", trained)
    assert texts.stdout == "30 texts written to texts2.csv\n"

    cli("load", "texts", "texts2.csv", "--database", "sqlite:///other.db")
    cli("load", "votes", "out.jsonl.gz", "--database", "sqlite:///other.db")

    exports = [command("export", "votes", "--database", url).stdout for url in (trained, "sqlite:///other.db")]
    assert exports[0] == exports[1]
    assert [(row["text_id"], row["label"], row["annotator"]) for row in table(exports[0])][:2] == [
        ("1", "fruit", "ada"),
        ("2", "tool", "ada"),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("labels texts.csv", EXIT_ERROR, "error: texts.csv exists already; --force overwrites it"),
        ("labels out.xml", EXIT_ERROR, "error: out.xml: the name ends with none of .csv, "),
        ("labels --format xml", EXIT_ERROR, "error: format 'xml': allowed are csv, jsonl, parquet, label-studio"),
        ("labels --format label-studio", EXIT_ERROR, "error: Label Studio names annotators by their e-mail addresses"),
        ("predictions --format doccano", EXIT_ERROR, "error: doccano has no predictions"),
        ("predictions --clf-id 9", EXIT_ERROR, "error: there is no classifier 9"),
        ("labels --name topic", EXIT_ERROR, "error: --name topic: write it with ="),
        ("labels --name from_name=", EXIT_ERROR, "error: --name from_name=: write it with ="),
        ("labels --annotator ada=x", EXIT_ERROR, "error: --annotator: only for label-studio"),
        ("labels --ids votes.csv --clf-id 1", EXIT_ERROR, "error: clf_id: labels have no predictions"),
        ("nothing", EXIT_USAGE, "'nothing' is not one of 'labels', 'votes', 'texts'"),
        (
            "labels --format labelstudio",
            EXIT_ERROR,
            "format 'labelstudio' (did you mean 'label-studio'?): ",
        ),
        ("labels --ids none.csv", EXIT_ERROR, "error: none.csv: No such file or directory"),
    ],
)
def test_what_cannot_be_exported_is_an_error_that_says_why(
    cli: Cli, trained: str, tmp_path: Path, arguments: str, code: int, says: str
) -> None:
    before = {path.name for path in tmp_path.iterdir()}

    failed = cli("export", *arguments.split(), "--database", trained)

    assert failed.returncode == code
    assert says in failed.stderr
    assert "Value error" not in failed.stderr
    assert failed.stdout == ""
    assert {path.name for path in tmp_path.iterdir()} == before


def test_an_export_for_a_tool_says_which_names_it_uses(cli: Cli, trained: str) -> None:
    done = cli("export", "texts", "out.json", "--format", "label-studio", "--name", "text=body", "--database", trained)

    assert done.stdout == "30 texts written to out.json\n"
    assert done.stderr == (
        "names in the other tool's project: text=body, from_name=label, to_name=text; --name changes them\n"
    )


def test_a_text_in_the_place_of_a_file_is_told_how_to_be_predicted(cli: Cli, trained: str) -> None:
    failed = cli("predict", "an owl", "--database", trained)

    assert failed.returncode == EXIT_USAGE
    assert "'an owl' does not exist" in failed.stderr
    assert "al-learner predict -" in failed.stderr


def test_options_of_an_export_say_who_is_who_and_which_texts(cli: Cli, trained: str, tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text("text_id\n3\n1\n", encoding="utf-8")
    form = ("--format", "label-studio", "--name", "from_name=topic", "--annotator", "ada=ada@x.org")
    options = ("--ids", "ids.csv", *form)

    tasks = json.loads(cli("export", "votes", *options, "--database", trained).stdout)

    assert [(task["data"]["text_id"], task["annotations"][0]["completed_by"]) for task in tasks] == [
        (3, {"email": "ada@x.org"}),
        (1, {"email": "ada@x.org"}),
    ]
    assert {task["annotations"][0]["result"][0]["from_name"] for task in tasks} == {"topic"}
    anonymous = json.loads(cli("export", "votes", *options, "--anonymous", "--database", trained).stdout)
    assert all("completed_by" not in task["annotations"][0] for task in anonymous)


def test_texts_are_chosen_by_the_ids_of_a_file_or_of_standard_input(command: Cli, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text("external_id,text\n7,seven\nb,two\n1,three\n", encoding="utf-8")
    database = ("--database", "sqlite:///ids.db")
    assert cli("load", "texts", "texts.csv", *database).returncode == 0
    (tmp_path / "ids.csv").write_text("external_id\n7\nb\n", encoding="utf-8")

    chosen = cli("export", "texts", "--ids", "ids.csv", *database)
    assert [(row["text_id"], row["text"]) for row in table(chosen.stdout)] == [("1", "seven"), ("2", "two")]
    piped = command("export", "texts", "--ids", "-", *database, text='{"text_id": 3}\n{"text_id": 1}\n')
    assert [row["external_id"] for row in table(piped.stdout)] == ["1", "7"]
    missing = command("export", "texts", "--ids", "-", *database, text="text_id\n9\n")
    assert missing.stderr == "error: text_id 9 is not in table text_data\n"


def test_what_another_tool_cannot_keep_is_warned_about(cli: Cli, trained: str, tmp_path: Path) -> None:
    (tmp_path / "again.csv").write_text("text_id,label,user\n1,tool,ada\n", encoding="utf-8")
    cli("load", "votes", "again.csv", "--database", trained)
    options = ("--format", "argilla", "--annotator", "ada=f3b1c9a2-0000-4000-8000-000000000001")

    exported = cli("export", "votes", "out.json", *options, "--database", trained)

    assert (exported.returncode, exported.stdout) == (0, "votes of 12 texts written to out.json\n")
    assert exported.stderr.startswith("warning: 1 votes were left out, because the same annotator")


def test_an_export_is_utf_8_in_every_locale(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "known.json").write_text(json.dumps([{"text": "Käse 日本"}]))
    cli("load", "texts", "known.json", "--database", "sqlite:///ascii.db")

    out = subprocess.run(
        [AL_LEARNER, "export", "texts", "--database", "sqlite:///ascii.db"],
        cwd=tmp_path,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
        timeout=120,
    )

    assert "Käse 日本".encode() in out.stdout


@pytest.mark.parametrize("form", ["csv", "label-studio", "parquet"])
def test_nothing_that_is_exported_controls_the_terminal(
    cli: Cli, forked_command: Path, tmp_path: Path, form: str
) -> None:
    (tmp_path / "texts.json").write_text(json.dumps([{"text": "\x1b[1m\x9b31m\u202e"}]))
    cli("load", "texts", "texts.json", "--database", "sqlite:///hostile.db")
    ours, theirs = os.openpty()

    program = forked_command / AL_LEARNER.name
    command = [program, "export", "texts", "--format", form, "--database", "sqlite:///hostile.db"]
    shown = subprocess.Popen(command, cwd=tmp_path, stdout=theirs, stderr=subprocess.PIPE, text=True)
    os.close(theirs)
    with open(ours, "rb", buffering=0) as terminal:  # noqa: PTH123 - a descriptor
        out = b""
        with suppress(OSError):  # the other end is closed
            while chunk := terminal.read(1024):
                out += chunk
    errors = shown.communicate(timeout=60)[1]

    assert out.decode().replace("\r\n", "").isprintable()
    if form == "parquet":
        assert (shown.returncode, errors) == (EXIT_ERROR, "error: Parquet is not for a terminal: name a file\n")
    else:
        assert shown.returncode == 0
        assert "\\u001b[1m" in out.decode()


def test_parquet_goes_through_a_pipe(forked_command: Path, trained: str, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    command = [forked_command / AL_LEARNER.name, "export", "predictions", "--format", "parquet", "--database", trained]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=120)

    assert pq.read_table(io.BytesIO(done.stdout)).num_rows == 30


# -- predict ------------------------------------------------------------------------------------------------------


def test_predictions_have_every_class_votes_and_texts_if_they_are_asked_for(cli: Cli, trained: str) -> None:
    options = ("--all-classes", "--votes", "--texts")

    rows = table(cli("predict", *options, "--database", trained).stdout)
    found = json.loads(cli("predict", *options, "--json", "--database", trained).stdout)

    classes = ("bird", "fruit", "tool")
    assert [*rows[0]] == [
        *("text_id", "external_id", "text", "label", "probability", "votes", "annotators"),
        *(f"probability_{name}" for name in classes),
    ]
    assert (rows[0]["text"], rows[0]["votes"], rows[0]["annotators"]) == ("apple pear plum 0", '["fruit"]', '["ada"]')
    assert (rows[29]["text_id"], rows[29]["votes"]) == ("30", "[]")
    for row, asked in zip(rows, found, strict=True):
        assert asked["probabilities"][asked["label"]] == asked["probability"] == max(asked["probabilities"].values())
        assert [row[f"probability_{name}"] for name in classes] == [
            f"{asked['probabilities'][name]:.4f}" for name in classes
        ]
        assert (row["label"], json.loads(row["votes"])) == (asked["label"], asked["votes"])


def test_predictions_of_a_file_are_numbered_from_1_and_its_columns_are_named(
    cli: Cli, trained: str, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text('n,body\nx1,"a plum\nor two"\nx2,owl\n', encoding="utf-8")
    options = ("new.csv", "--column", "text=body", "--id", "n", "--texts", "--database", trained)

    rows = table(cli("predict", *options).stdout)
    assert [(row["position"], row["external_id"], row["text"], row["label"]) for row in rows] == [
        ("0", "x1", "a plum\nor two", "fruit"),
        ("1", "x2", "owl", "bird"),
    ]
    found = json.loads(cli("predict", *options, "--json").stdout)
    assert [(row["position"], row["external_id"], row["text"]) for row in found] == [
        (0, "x1", "a plum\nor two"),
        (1, "x2", "owl"),
    ]


def test_no_texts_are_an_empty_list_and_a_header(cli: Cli, trained: str) -> None:
    assert cli("predict", "-", "--json", "--database", trained).stdout == "[]\n"
    assert cli("predict", "-", "--database", trained).stdout == "position,label,probability\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("- --votes", "--votes is for the project's texts"),
        ("--json --safe-csv", "--safe-csv is not for --json"),
        ("- --column text=body", "--column and --id are for a file"),
        ("--id n", "--column and --id are for a file"),
    ],
)
def test_options_of_predict_that_do_not_go_together_are_wrong_usage(
    cli: Cli, trained: str, arguments: str, says: str
) -> None:
    failed = cli("predict", *arguments.split(), "--database", trained)

    assert failed.returncode == EXIT_USAGE
    assert says in failed.stderr


@pytest.mark.parametrize("options", [(), ("--votes",), ("--json",)])
def test_predict_without_a_classifier_says_so(cli: Cli, project: str, options: tuple[str, ...]) -> None:
    failed = cli("predict", *options, "--database", project)

    assert (failed.returncode, failed.stdout) == (EXIT_ERROR, "")
    assert failed.stderr == "error: there is no classifier yet: run `al-learner init`\n"
