"""`al-learner query`: the texts to label next, for people and for programs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from al_learner.cli import EXIT_ERROR
from al_learner.commands.shared import EXIT_NOTHING_TO_DO
from tests.acceptance.conftest import FAST, Cli

EXIT_USAGE = 2
WORDS = {"fruit": "apple pear plum", "tool": "hammer saw nail", "bird": "owl finch crow"}


@pytest.fixture
def trained(cli: Cli, project: str) -> str:
    """A project with a classifier of twelve texts that have votes; eighteen have none."""
    cli("load", "votes", "votes.csv", "--database", project)
    assert cli("train", "--database", project, **FAST).returncode == 0
    return project


def test_the_texts_to_label_next_are_shown_as_a_table(cli: Cli, trained: str) -> None:
    asked = cli("query", "2", "--database", trained)

    header, *rows = [line.split() for line in asked.stdout.splitlines() if line.strip()]
    assert asked.returncode == 0
    assert header == ["text_id", "text", "predicted", "label", "probability", "uncertainty"]
    assert len(rows) == 2
    for row in rows:
        assert 13 <= int(row[0]) <= 30
        assert float(row[-2]) + float(row[-1]) == pytest.approx(1, abs=1e-4)


def test_json_and_json_lines_have_the_same_texts(cli: Cli, trained: str) -> None:
    as_json = json.loads(cli("query", "5", "--json", "--database", trained).stdout)
    lines = cli("query", "5", "--json-lines", "--database", trained).stdout.splitlines()

    assert [json.loads(line) for line in lines] == as_json
    assert [*as_json[0]] == ["text_id", "external_id", "text", "predicted_label", "probability", "uncertainty"]
    predicted = cli("predict", "--database", trained).stdout.splitlines()[1:]
    for text in as_json:
        assert f"{text['text_id']},{text['predicted_label']},{text['probability']:.4f}" in predicted


def test_the_table_shows_external_ids_where_there_are_any(cli: Cli, trained: str, tmp_path: Path) -> None:
    assert "external id" not in cli("query", "99", "--database", trained).stdout
    (tmp_path / "more.csv").write_text("key,text\na-7,another owl\n", encoding="utf-8")
    cli("load", "texts", "more.csv", "--id", "key", "--database", trained)

    shown = cli("query", "99", "--database", trained).stdout

    assert "external id" in shown
    assert re.search(r"\ba-7 +another owl\b", shown)


def test_the_strategy_and_the_seed_decide_which_texts(cli: Cli, trained: str) -> None:
    def query(*options: str) -> list[int]:
        asked = cli("query", "4", "--json", "--database", trained, *options)
        return [text["text_id"] for text in json.loads(asked.stdout)]

    one, again, other = (query("--strategy", "random", "--seed", seed) for seed in ("1", "1", "2"))
    assert one == again != other
    assert len(query("--strategy", "diverse(candidates_per_text=2)")) == 4


def test_texts_of_others_cannot_control_the_terminal_and_programs_get_them_unchanged(
    cli: Cli, trained: str, tmp_path: Path
) -> None:
    evil = 'owl "a"\x1b[2J\u202e\u2028 1\n2'
    (tmp_path / "evil.json").write_text(json.dumps([{"text": evil}]), encoding="utf-8")
    cli("load", "texts", "evil.json", "--database", trained)

    table, as_json, lines = (
        cli("query", "99", *form, "--database", trained) for form in ((), ("--json",), ("--json-lines",))
    )

    for asked in (table, as_json, lines):
        assert not {*"\x1b\u202e\u2028"} & {*asked.stdout}
    assert evil in [text["text"] for text in json.loads(as_json.stdout)]
    assert evil in [json.loads(line)["text"] for line in lines.stdout.splitlines()]


def test_if_fewer_texts_are_left_it_says_so_and_if_none_is_left_there_is_nothing_to_do(
    cli: Cli, trained: str, tmp_path: Path
) -> None:
    some = cli("query", "99", "--json-lines", "--database", trained)
    assert (some.returncode, len(some.stdout.splitlines())) == (0, 18)
    assert some.stderr == "only 18 texts have no votes and are not blank\n"
    votes = "".join(f'{{"text_id": {number}, "label": "bird"}}\n' for number in range(13, 31))
    (tmp_path / "rest.jsonl").write_text(votes, encoding="utf-8")
    cli("load", "votes", "rest.jsonl", "--database", trained)

    table = cli("query", "1", "--database", trained)
    lines = cli("query", "1", "--json-lines", "--database", trained)
    as_json = cli("query", "1", "--json", "--database", trained)

    said = "there is no text without votes that is not blank\n"
    assert (table.returncode, table.stdout, table.stderr) == (EXIT_NOTHING_TO_DO, said, "")
    assert (lines.returncode, lines.stdout, lines.stderr) == (EXIT_NOTHING_TO_DO, "", said)
    assert (as_json.returncode, json.loads(as_json.stdout), as_json.stderr) == (EXIT_NOTHING_TO_DO, [], said)


def test_what_is_wrong_is_said_with_what_to_do(cli: Cli, project: str) -> None:
    without = cli("query", "1", "--database", project)
    assert without.returncode == EXIT_ERROR
    assert without.stderr == "error: there is no classifier yet: run `al-learner init`\n"
    unknown = cli("query", "1", "--strategy", "margins", "--database", project)
    assert unknown.returncode == EXIT_ERROR
    assert unknown.stderr.startswith("error: query_strategy 'margins' is unknown; did you mean 'margin'? Allowed: ")
    assert cli("query", "0", "--database", project).returncode == EXIT_USAGE


def test_a_project_is_labelled_with_any_tool_until_nothing_is_left(cli: Cli, project: str, tmp_path: Path) -> None:
    """Query, label in another program, load, train, and again."""
    cli("init", "--database", project)
    sizes = []
    query = ("query", "10", "--strategy", "diverse", "--seed", "0", "--json-lines", "--database", project)
    while (asked := cli(*query)).returncode == 0:
        (tmp_path / "batch.jsonl").write_text(asked.stdout, encoding="utf-8")
        unlabelled = cli("load", "votes", "batch.jsonl", "--database", project)
        assert unlabelled.returncode == EXIT_ERROR  # a prediction is not a vote
        rows = [json.loads(line) for line in asked.stdout.splitlines()]
        for row in rows:
            row["label"] = next(label for label, words in WORDS.items() if row["text"].split()[0] in words)
            row["annotator"] = "ada"
        (tmp_path / "labelled.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        assert cli("load", "votes", "labelled.jsonl", "--database", project).stdout == f"{len(rows)} votes loaded\n"
        assert cli("train", "--database", project).returncode == 0
        sizes.append(len(rows))

    assert asked.returncode == EXIT_NOTHING_TO_DO
    assert sizes == [10, 10, 10]
    labels = {line.split(",")[1] for line in cli("predict", "--database", project).stdout.splitlines()[1:]}
    assert labels == {*WORDS}
