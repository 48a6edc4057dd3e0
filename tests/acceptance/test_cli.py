"""What a person sees at the command line: output, exit codes, and errors that say what to do."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import sqlite3
import subprocess
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from al_learner.cli import EXIT_ERROR
from al_learner.commands.shared import EXIT_NOTHING_TO_DO
from al_learner.core.configuration import defaults
from al_learner.core.storage.database import Database, owner
from al_learner.core.storage.run_lock import hold_run_lock
from tests.acceptance.conftest import AL_LEARNER, Cli

EXIT_USAGE = 2


def test_a_project_is_loaded_trained_and_asked_from_the_command_line(command: Cli, project: str) -> None:
    first = command("init", "--database", project, "--json")
    assert (first.returncode, json.loads(first.stdout)["run"]["clf_id"]) == (0, 1)
    assert command("load", "votes", "votes.csv", "--database", project).stdout == "12 votes loaded\n"

    trained = command("train", "--database", project, "--json")

    run = json.loads(trained.stdout)["run"]
    assert (run["clf_id"], run["texts"], run["new_samples"], run["status"]) == (2, 12, 12, "succeeded")
    models = json.loads(command("models", "--database", project, "--json").stdout)
    assert [model["clf_id"] for model in models] == [2, 1]
    assert models[0]["run"]["strategies"]["classifier"]["name"] == "auto"
    asked = command("predict", "-", "--database", project, text="a hammer and a saw\nowl\n")
    rows = list(csv.DictReader(asked.stdout.splitlines()))
    assert [row["label"] for row in rows] == ["tool", "bird"]
    assert all(0 < float(row["probability"]) <= 1 for row in rows)
    every = list(csv.DictReader(command("predict", "--database", project).stdout.splitlines()))
    assert [row["text_id"] for row in every] == [str(number) for number in range(1, 31)]


def test_it_shows_its_version(installed: Cli) -> None:
    assert installed("--version").stdout == f"al-learner {version('al-learner')}\n"


def test_a_file_of_texts_is_predicted_by_an_older_classifier(cli: Cli, project: str, tmp_path: Path) -> None:
    cli("init", "--database", project)
    cli("load", "votes", "votes.csv", "--database", project)
    cli("train", "--database", project)
    with gzip.open(tmp_path / "new.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write('{"text": "plum"}\n{"text": ""}\n')

    asked = cli("predict", "new.jsonl.gz", "--clf-id", "1", "--database", project)

    assert [row["position"] for row in csv.DictReader(asked.stdout.splitlines())] == ["0", "1"]


def test_classifiers_are_shown_promoted_exported_and_deleted(cli: Cli, project: str, tmp_path: Path) -> None:
    cli("load", "votes", "votes.csv", "--database", project)
    for _ in range(3):
        cli("train", "--force", "--database", project)

    shown = cli("models", "show", "2", "--database", project)
    assert shown.returncode == 0
    assert "12 texts in" in shown.stdout
    assert "score" in shown.stdout
    promoted = cli("models", "promote", "1", "--database", project)
    assert promoted.stdout.startswith("promote: classifier 4, a copy of 1, is the newest until the next training")
    assert cli("models", "promote", "4", "--database", project).returncode == EXIT_NOTHING_TO_DO
    assert cli("models", "export", "2", "model.pkl", "--database", project).returncode == 0
    assert json.loads((tmp_path / "model.pkl.json").read_text(encoding="utf-8"))["clf_id"] == 2
    again = cli("models", "export", "2", "model.pkl", "--database", project)
    assert (again.returncode, again.stderr) == (
        EXIT_ERROR,
        "error: model.pkl exists already; --force overwrites it\n",
    )
    pruned = cli("models", "prune", "--keep", "2", "--database", project)
    assert pruned.stdout == "2 classifiers deleted: 1-2\n0 vectorizers deleted\n"
    left = json.loads(cli("models", "list", "--json", "--database", project).stdout)
    assert [model["clf_id"] for model in left] == [4, 3]
    assert left[0]["run"]["metrics"]["promoted"]["clf_id"] == 1


def test_the_newest_classifiers_are_listed_and_it_is_said_that_there_are_others(cli: Cli, project: str) -> None:
    cli("load", "votes", "votes.csv", "--database", project)
    for _ in range(3):
        cli("train", "--force", "--database", project)

    for command in (("models",), ("models", "list")):
        some, exactly_all = (cli(*command, "--limit", n, "--json", "--database", project) for n in ("2", "3"))
        assert [model["clf_id"] for model in json.loads(some.stdout)] == [3, 2]
        assert [model["clf_id"] for model in json.loads(exactly_all.stdout)] == [3, 2, 1]
        assert "--limit lists more" in cli(*command, "--limit", "2", "--database", project).stdout
        assert "--limit" not in cli(*command, "--limit", "3", "--database", project).stdout
    misplaced = cli("models", "--limit", "2", "show", "1", "--database", project)
    assert misplaced.returncode == EXIT_USAGE


def test_what_cannot_be_compared_is_an_error_that_says_why(cli: Cli, project: str) -> None:
    cli("init", "--database", project)
    cli("init", "--force", "--database", project)

    compared = cli("models", "compare", "1", "2", "--database", project)

    assert compared.returncode == EXIT_ERROR
    assert compared.stderr == ("error: classifier 1 cannot be compared: nobody has labelled a text yet\n")


def test_options_of_a_models_command_go_after_it(cli: Cli, project: str) -> None:
    misplaced = cli("models", "--database", project, "show", "1")

    assert misplaced.returncode == EXIT_USAGE
    assert "options go after the sub-command" in misplaced.stderr


def test_init_with_a_classifier_has_nothing_to_do_unless_forced(command: Cli, project: str) -> None:
    assert command("init", "--database", project).returncode == 0

    again = command("init", "--database", project)

    assert again.returncode == EXIT_NOTHING_TO_DO
    assert "there is a classifier already (1)" in again.stdout
    assert command("init", "--force", "--database", project).returncode == 0


def test_init_over_votes_asks_for_an_option_that_discards_them(cli: Cli, project: str) -> None:
    cli("load", "votes", "votes.csv", "--database", project)
    cli("train", "--force", "--database", project)

    refused = cli("init", "--force", "--database", project)

    assert refused.returncode == EXIT_NOTHING_TO_DO
    assert "12 texts have votes" in refused.stdout
    assert cli("init", "--force", "--discard-votes", "--database", project).returncode == 0


def test_train_below_the_batch_size_says_how_many_are_missing(cli: Cli, project: str) -> None:
    cli("load", "votes", "votes.csv", "--database", project)

    waiting = cli("train", "--database", project, BATCH_SIZE="20")

    assert waiting.returncode == EXIT_NOTHING_TO_DO
    assert "12 new samples; 8 more are needed" in waiting.stdout
    assert cli("train", "--force", "--database", project, BATCH_SIZE="20").returncode == 0


def test_status_shows_what_is_there_and_what_is_missing(cli: Cli, project: str) -> None:
    cli("load", "votes", "votes.csv", "--database", project)

    status = json.loads(cli("status", "--database", project, "--json", BATCH_SIZE="20").stdout)
    assert status["stopping_advice"] == status["advice"]

    counts = {name: status[name] for name in ("texts", "votes", "countable_texts", "new_samples", "missing")}
    assert counts == {"texts": 30, "votes": 12, "countable_texts": 12, "new_samples": 12, "missing": 8}
    assert "12 of 20; 8 more needed" in cli("status", "--database", project, BATCH_SIZE="20").stdout


def test_annotators_are_listed_with_what_they_disagree_on(cli: Cli, project: str, tmp_path: Path) -> None:
    assert cli("annotators", "--database", project).stdout == "there are no votes yet\n"
    cli("load", "votes", "votes.csv", "--database", project)
    (tmp_path / "more.csv").write_text("text_id,label,user\n1,fruit,ben\n2,bird,ben\n3,bird,\n", encoding="utf-8")
    cli("load", "votes", "more.csv", "--database", project)

    shown = cli("annotators", "--database", project)

    assert (shown.returncode, shown.stderr) == (0, "")
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["ada", "12", "3", "100.0%"] in [line[:4] for line in lines]
    assert ["ben", "2", "2", "50.0%"] in [line[:4] for line in lines]
    assert ["(anonymous)", "1", "1", "100.0%", "-"] in lines
    assert ["2", "tool", "1,", "bird", "1", "tool", "1.00", "hammer", "saw", "nail", "0"] in lines
    found = json.loads(cli("annotators", "--texts", "0", "--json", "--database", project).stdout)
    assert [annotator["name"] for annotator in found["annotators"]] == ["ada", "ben", None]
    assert (found["disputed"], found["n_disputed"], found["estimated_by"]) == ([], 1, "dawid-skene")


@pytest.fixture
def hostile(cli: Cli, tmp_path: Path) -> str:
    """A SQLite project whose texts, labels and annotators would control a terminal; return its URL."""
    url = "sqlite:///hostile.db"
    labels, users = ["\x1b]0;good\x07", "\x9b31m\u202ebad"], ["\x1b[2Jada", "\x7fben\r"]
    (tmp_path / "texts.json").write_text(json.dumps([{"text": f"\x1b[1m\x85 {n % 2}"} for n in range(12)]))
    (tmp_path / "labels.json").write_text(json.dumps([{"label": label} for label in labels]))
    votes = [{"id": n + 1, "label": labels[n % 2], "user": user} for n in range(12) for user in users]
    votes += [{"id": 1, "label": labels[1], "user": users[0]}]
    (tmp_path / "votes.json").write_text(json.dumps(votes))
    for what in ("texts", "labels", "votes"):
        assert cli("load", what, f"{what}.json", "--database", url).returncode == 0
    assert cli("train", "--force", "--database", url).returncode == 0
    return url


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("annotators",),
        ("annotators", "--json"),
        ("models", "show", "1"),
        ("models", "show", "1", "--json"),
        ("models",),
        ("predict", "\x1b[1m.csv"),
    ],
    ids=" ".join,
)
def test_nothing_that_is_stored_controls_the_terminal(cli: Cli, hostile: str, command: tuple[str, ...]) -> None:
    shown = cli(*command, "--database", hostile)

    assert (shown.stdout + shown.stderr).replace("\n", "").isprintable()
    if "--json" in command:
        assert "\x1b" in json.dumps(json.loads(shown.stdout)).encode().decode("unicode_escape")


def test_predicted_labels_are_exact_in_a_pipe_and_escaped_on_a_terminal(
    command: Cli, forked_command: Path, hostile: str, tmp_path: Path
) -> None:
    piped = command("predict", "--database", hostile)
    assert {row["label"] for row in csv.DictReader(piped.stdout.splitlines())} <= {
        "\x1b]0;good\x07",
        "\x9b31m\u202ebad",
    }
    ours, theirs = os.openpty()

    shown = subprocess.Popen(
        [forked_command / AL_LEARNER.name, "predict", "--database", hostile], cwd=tmp_path, stdout=theirs
    )
    os.close(theirs)
    with open(ours, "rb", buffering=0) as terminal:  # noqa: PTH123 - a descriptor
        out = b""
        with suppress(OSError):  # the other end is closed
            while chunk := terminal.read(1024):
                out += chunk
    assert shown.wait(60) == 0
    lines = out.decode().replace("\r\n", "\n").splitlines()
    assert len(lines) == 13
    assert "".join(lines).isprintable()
    assert "\\u001b]0;good\\u0007" in "".join(lines)


def test_labels_that_a_spreadsheet_takes_for_formulas_get_an_apostrophe_if_that_is_asked_for(
    cli: Cli, tmp_path: Path
) -> None:
    labels = ["=1+1", "+", "-", "@x", "\tx", "\rx", "fine"]
    known = [{"text": f"word{n} " * 3, "label": label} for n, label in enumerate(labels)]
    (tmp_path / "known.json").write_text(json.dumps(known))
    url = "sqlite:///formulas.db"
    cli("load", "texts", "known.json", "--database", url)
    cli("load", "init", "known.json", "--database", url)
    cli("init", "--database", url, AL_LEARNER_CLASSIFIER="complement-nb")

    plain, safe = (cli("predict", *options, "--database", url).stdout for options in ((), ("--safe-csv",)))

    assert [row[1] for row in csv.reader(io.StringIO(plain, newline=""))] == ["label", *labels]
    assert [row[1] for row in csv.reader(io.StringIO(safe, newline=""))] == [
        "label",
        *(f"'{label}" for label in labels[:-1]),
        "fine",
    ]


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}


@pytest.mark.parametrize("command_line", ["predict", "predict -", "status", "models show 1", "models show 1 --json"])
def test_an_ascii_terminal_gets_escapes_and_no_traceback(
    cli: Cli, installed: Cli, tmp_path: Path, command_line: str
) -> None:
    known = [{"text": f"{('Fisch', 'Käse')[n % 2]} {n}", "label": ("日本", "größer")[n % 2]} for n in range(12)]
    (tmp_path / "known.json").write_text(json.dumps(known))
    database = ("--database", "sqlite:///ascii.db")
    for arguments in (("load", "texts", "known.json"), ("load", "init", "known.json"), ("init",)):
        done = cli(*arguments, *database)
        assert done.returncode == 0, done.stderr

    shown = installed(*command_line.split(), *database, text="Käse 1\n", **ASCII)

    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.isascii()
    if command_line.endswith("--json"):
        assert json.loads(shown.stdout)
    if command_line.startswith("predict"):
        assert "gr\\xf6\\xdfer" in shown.stdout


def test_standard_input_that_is_not_utf_8_is_an_error(project: str, tmp_path: Path, cli: Cli) -> None:
    cli("init", "--database", project)

    failed = subprocess.run(
        [AL_LEARNER, "predict", "-", "--database", project],
        input=b"fine\nna\xefve\n",
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=120,
    )

    assert (failed.returncode, failed.stderr) == (
        EXIT_ERROR,
        b"error: standard input is not UTF-8: invalid continuation byte\n",
    )


def test_a_bad_row_is_named_and_nothing_is_loaded(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text("text\nfine\nbad\0\n", encoding="utf-8")

    failed = cli("load", "texts", "texts.csv", "--database", "sqlite:///new.db")

    assert failed.returncode == EXIT_ERROR
    assert failed.stderr == "error: texts.csv, line 3: the text contains a NUL byte, which PostgreSQL cannot store\n"
    with sqlite3.connect(tmp_path / "new.db") as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_one_very_long_text_is_warned_about(cli: Cli, project: str, tmp_path: Path) -> None:
    (tmp_path / "long.json").write_text(json.dumps({"data": {"0": "x" * 10_000_000}}), encoding="utf-8")

    loaded = cli("load", "texts", "long.json", "--database", project)

    assert loaded.returncode == 0
    assert "warning: the longest text has 10,000,000 characters" in loaded.stderr


def test_every_wrong_setting_is_reported_at_once_and_no_connection_is_made(command: Cli) -> None:
    failed = command(
        "status",
        PGHOST="192.0.2.1",
        BATCH_SIZE="ten",
        AL_LEARNER_CLASSIFIER="logregg",
        AL_LEARNER_VECTORIZER="tfidf",
        AL_LEARNER_VECTORIZER_PARAMS='{"sublinear": true}',
        AL_LEARNER_BATCH="1",
    )

    assert failed.returncode == EXIT_ERROR
    problems = failed.stderr.splitlines()
    assert len(problems) == 4
    for said in ("BATCH_SIZE = ten", "did you mean 'logreg'?", "did you mean 'sublinear_tf'?", "AL_LEARNER_BATCH"):
        assert any(said in problem for problem in problems), said


def test_no_database_at_all_is_an_error_that_names_pghost(cli: Cli) -> None:
    failed = cli("worker")

    assert failed.returncode == EXIT_ERROR
    assert failed.stderr.startswith("error: no database is named: give --database")


def test_a_missing_table_is_named_with_what_creates_it(cli: Cli, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE text_data (text_id INTEGER PRIMARY KEY, text_data TEXT)")

    failed = cli("init", "--database", "sqlite:///other.db")

    assert failed.returncode == EXIT_ERROR
    assert "table classifiers is missing" in failed.stderr
    assert "table text_data lacks labeled, labels, major_label" in failed.stderr
    assert "`al-learner load` creates" in failed.stderr


@pytest.mark.parametrize("url", ["postgresql://ada:s3cret@127.0.0.1:1/x", "mysql://ada:s3cret@127.0.0.1/x"])
def test_an_error_never_shows_a_password(cli: Cli, url: str) -> None:
    failed = cli("status", "--database", url)

    assert failed.returncode == EXIT_ERROR
    assert "s3cret" not in failed.stderr + failed.stdout


def test_plugins_show_lists_parameters_origin_and_needs(cli: Cli) -> None:
    shown = json.loads(cli("plugins", "show", "lightgbm", "--json").stdout)[0]

    assert "lightgbm" in shown["requires"]
    assert shown["from"].startswith("al-learner ")
    assert {"num_leaves", "reg_lambda"} <= {parameter["name"] for parameter in shown["parameters"]}
    assert "al-learner-example-plugin" in cli("plugins").stdout


def test_plugins_show_says_where_word_vectors_come_from(cli: Cli) -> None:
    shown = cli("plugins", "show", "use").stdout
    [of_a_folder] = json.loads(cli("plugins", "show", "model2vec", "--json").stdout)

    assert "\nlicence: Apache-2.0\n" in shown
    assert "\nlanguages: ar, de, en, " in shown
    assert "\nprovenance: Google's universal-sentence-encoder-multilingual 3" in shown
    assert (of_a_folder["languages"], of_a_folder["licence"]) == ([], "NOASSERTION")
    [folder] = of_a_folder["parameters"]
    assert (folder["name"], folder["required"], folder["default"]) == ("folder", True, None)
    assert re.search(r"folder +string +required", cli("plugins", "show", "model2vec").stdout)


def test_a_plugin_that_cannot_be_loaded_is_listed_with_the_reason(command: Cli, tmp_path: Path) -> None:
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n", encoding="utf-8")
    entry_points = "[al_learner.classifiers]\nbroken = no_such_module:Nothing\n"
    (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")

    listed = json.loads(command("plugins", "--json", PYTHONPATH=str(tmp_path)).stdout)

    problem = next(plugin["problem"] for plugin in listed if plugin["name"] == "broken")
    assert "broken 1.0" in problem
    assert "No module named 'no_such_module'" in problem
    chosen = command("status", "--database", "sqlite:///x.db", PYTHONPATH=str(tmp_path), AL_LEARNER_CLASSIFIER="broken")
    assert (chosen.returncode, "No module named 'no_such_module'" in chosen.stderr) == (EXIT_ERROR, True)


def test_config_shows_where_each_value_comes_from_and_masks_secrets(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "al_learner.toml").write_text(
        'classifier = "sgd"\n[classifiers.sgd]\nalpha = 0.001\n', encoding="utf-8"
    )

    secrets = {"REDIS_PASSWORD": "hunter2", "AL_LEARNER_SIGNING_KEY": "hunter3"}
    shown = cli("config", "--json", BATCH_SIZE="7", **secrets)

    settings = json.loads(shown.stdout)
    assert settings["batch_size"] == {"value": 7, "from": "environment BATCH_SIZE"}
    assert settings["classifier"] == {"value": "sgd", "from": "al_learner.toml"}
    assert settings["classifier_params"]["value"]["alpha"] == 0.001
    assert settings["vectorizer"]["from"] == "default"
    assert "hunter" not in shown.stdout


def test_config_shows_what_comes_from_the_project(
    cli: Cli, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("init", "--database", project).returncode == 0
    other = {**defaults.of_new_project(), "vectorizer": "hashing"}
    began_with = defaults.of_new_project()["vectorizer"]
    monkeypatch.setattr(defaults, "of_new_project", lambda: other)

    def shown(url: str) -> Any:
        return json.loads(cli("config", "--json", "--database", url, AL_LEARNER_CLASSIFIER="sgd").stdout)

    settings = shown(project)
    assert settings["vectorizer"] == {"value": began_with, "from": "project"}
    assert settings["vectorizer_params"]["from"] == "project"
    assert settings["classifier"] == {"value": "sgd", "from": "environment AL_LEARNER_CLASSIFIER"}

    with closing(sqlite3.connect(tmp_path / project.removeprefix("sqlite:///"))) as connection:
        connection.execute("ALTER TABLE al_runs DROP COLUMN defaults")  # as a former version left it
        before = [*connection.iterdump()]
        assert shown(project)["vectorizer"] == {"value": "tfidf", "from": "project"}
        assert [*connection.iterdump()] == before

    nowhere = cli("config", "--json", "--database", "sqlite:///nowhere.db")
    assert json.loads(nowhere.stdout)["vectorizer"] == {"value": "hashing", "from": "default"}
    assert "project.not_read" in nowhere.stderr
    assert "project.not_read" not in cli("config").stderr


def test_wrong_usage_exits_with_two(command: Cli) -> None:
    assert command("trane").returncode == EXIT_USAGE
    assert command("load", "texts", "nowhere.csv").returncode == EXIT_USAGE


def test_health_fails_without_a_heartbeat(cli: Cli, tmp_path: Path) -> None:
    failed = cli("health", AL_LEARNER_HEARTBEAT_FILE=str(tmp_path / "heartbeat"))
    assert failed.returncode == EXIT_ERROR

    (tmp_path / "heartbeat").touch()

    assert cli("health", AL_LEARNER_HEARTBEAT_FILE=str(tmp_path / "heartbeat")).returncode == 0


@pytest.mark.parametrize("command", ["init", "train", "promote"])
def test_who_holds_the_lock_is_named_when_waiting_was_in_vain(cli: Cli, project: str, command: str) -> None:
    cli("init", "--database", project)
    database = Database(project)

    arguments = ("models", "promote", "1") if command == "promote" else (command, "--force")
    with hold_run_lock(database) as lock:
        lock.begin("update", forced=False, state="", strategies={}, defaults={}, samples=[])
        refused = cli(*arguments, "--wait", "0.2", "--database", project)
        lock.end(2, "abandoned", "the test is over")
    database.close()

    assert refused.returncode == EXIT_ERROR
    assert refused.stderr.startswith(f"error: a run is in progress, by {owner()}, since ")
