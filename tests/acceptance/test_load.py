"""`al-learner load` says what it took a file for, what it loaded, and what it left out."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.conftest import Cli
from tests.support.exports import EXPORTS

SNAPSHOT = str(EXPORTS / "label-studio" / "snapshot.json")

URL = ("--database", "sqlite:///project.db")


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path / "project.db")) as connection:
        return connection.execute(query).fetchall()


def test_a_project_is_reported_in_one_line_and_what_it_is_beside_it(cli: Cli, tmp_path: Path) -> None:
    loaded = cli("load", "project", SNAPSHOT, "--id", "ref", *URL)

    assert loaded.returncode == 0
    assert loaded.stdout == (
        "12 texts, 12 votes of 2 annotators, 3 new labels loaded; 2 skipped, 1 draft, 4 predictions left out\n"
    )
    assert loaded.stderr == f"{SNAPSHOT} is Label Studio export (JSON)\n"
    assert rows(tmp_path, "SELECT count(*) FROM al_external_ids WHERE external_id LIKE 'Q-%'") == [(12,)]


def test_the_same_project_again_needs_a_policy(cli: Cli) -> None:
    cli("load", "project", SNAPSHOT, "--id", "ref", *URL)

    refused = cli("load", "project", SNAPSHOT, "--id", "ref", *URL)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "'Q-01' is there already, as that of text 1, and 11 more are there too" in refused.stderr

    skipped = cli("load", "project", SNAPSHOT, "--id", "ref", "--on-duplicate", "skip", *URL)
    assert skipped.stdout.startswith(
        "0 texts, 0 votes, 0 new labels loaded; 12 texts with known ids skipped; 2 skipped,"
    )
    updated = cli("load", "project", SNAPSHOT, "--id", "ref", "--on-duplicate", "update", *URL)
    assert "12 texts with known ids updated" in updated.stdout
    assert cli("load", "project", SNAPSHOT, "--on-duplicate", "replace", *URL).returncode == 2


def test_a_dry_run_shows_the_first_rows_as_they_are_understood(cli: Cli, tmp_path: Path) -> None:
    shown = cli("load", "project", SNAPSHOT, "--id", "ref", "--dry-run", *URL)

    assert shown.returncode == 0
    lines = shown.stdout.splitlines()
    assert lines[0].split() == ["text", "id", "votes"]
    assert lines[1].split()[-5:] == ["Q-01", "python", "(ann@example.org),", "python", "(ben@example.org)"]
    assert lines[-1].startswith("12 texts, 12 votes of 2 annotators, 3 new labels would be loaded; 2 skipped,")
    assert not (tmp_path / "project.db").exists()


def test_what_was_loaded_is_printed_as_json(cli: Cli) -> None:
    loaded = json.loads(cli("load", "project", SNAPSHOT, "--id", "ref", "--json", *URL).stdout)

    assert loaded["source"] == "Label Studio export (JSON)"
    assert loaded["left_out"] == {"drafts": 1, "predictions": 4, "skipped": 2}
    assert (loaded["rows"], loaded["votes"], loaded["annotators"], loaded["labels"]) == (12, 12, 2, 3)


def test_standard_input_is_loaded(command: Cli, tmp_path: Path) -> None:
    loaded = command("load", "texts", "-", "--id", "key", *URL, text="key;text\na-1;naïve\n")

    assert (loaded.stdout, loaded.stderr) == ("1 text loaded\n", "standard input is CSV, delimiter ';'\n")
    assert rows(tmp_path, "SELECT text_data, external_id FROM text_data JOIN al_external_ids USING (text_id)") == [
        ("naïve", "a-1")
    ]


def test_the_delimiter_and_the_encoding_can_be_said(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_bytes("text~source\n5 €~a, b\n".encode("iso8859_15"))

    loaded = cli("load", "texts", "texts.csv", "--delimiter", "~", "--encoding", "iso8859_15", *URL)

    assert loaded.stderr == "texts.csv is CSV, delimiter '~', iso8859_15\n"
    assert rows(tmp_path, "SELECT text_data FROM text_data") == [("5 €",)]


def test_an_unknown_label_and_a_misspelt_column_get_what_was_meant(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('{"body": "a", "label": "sport"}')
    (tmp_path / "labels.json").write_text('[{"label": "sports"}]')
    cli("load", "labels", "labels.json", *URL)

    assert "(did you mean 'body'?)" in cli("load", "init", "rows.json", "--column", "text=bdy", *URL).stderr
    refused = cli("load", "init", "rows.json", "--column", "text=body", *URL)
    assert "rows.json, line 1: the label 'sport' is not in table labels (did you mean 'sports'?)" in refused.stderr
    assert "--new-labels" in refused.stderr
    cli("load", "init", "rows.json", "--column", "text=body", "--new-labels", *URL)
    assert rows(tmp_path, "SELECT label FROM labels") == [("sports",), ("sport",)]


@pytest.mark.parametrize("what", ["texts", "labels", "init", "votes", "project"])
def test_every_kind_of_load_takes_an_export(cli: Cli, what: str) -> None:
    cli("load", "texts", SNAPSHOT, "--id", "ref", *URL)
    ids = ["--id", "ref"] if what in ("texts", "votes", "project") else []
    policy = ["--on-duplicate", "skip"] if what in ("texts", "project") else []

    loaded = cli("load", what, SNAPSHOT, *ids, *policy, *URL)

    assert loaded.returncode == 0, loaded.stderr
    said = {"labels": "3 labels", "init": "8 prelabelled texts", "votes": "12 votes"}.get(what, "0 texts")
    assert loaded.stdout.startswith(said)
