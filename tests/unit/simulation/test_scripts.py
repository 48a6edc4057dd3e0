"""`simulate` in a script, and in a session without a file. Each process of a simulation imports the script again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

CALL = """
from al_learner import simulate

texts = [f"{'sun' if n % 2 else 'rain'} " + "and wind " * 1_000 + str(n) for n in range(240)]  # 2 MB
labels = ["good" if n % 2 else "bad" for n in range(240)]
"""

FAST = 'classifiers="complement-nb", vectorizers="tfidf", init_samplers="balanced"'
SIMULATE = f"simulate(texts, labels, {FAST}, seeds=1, rounds=1, batch_size=4, workers=1)"

UNGUARDED = f"{CALL}\nprint({SIMULATE}['labels'].tolist())\n"
GUARDED = f'{CALL}\nif __name__ == "__main__":\n    print({SIMULATE}["labels"].tolist())\n'


def run(*command: str) -> subprocess.CompletedProcess[str]:
    started = subprocess.Popen(
        [sys.executable, "-W", "error", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = started.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        started.kill()  # its children end with it
        out, err = started.communicate()
        pytest.fail(f"it did not end; it wrote\n{out}{err}")
    return subprocess.CompletedProcess(command, started.returncode, out, err)


@pytest.fixture
def script(tmp_path):
    def write(content):
        path = tmp_path / "script.py"
        path.write_text(content, encoding="utf-8")
        return str(path)

    return write


def test_a_script_without_a_guard_ends_and_says_what_to_write(script):
    done = run(script(UNGUARDED))

    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("al_learner.core.errors.TrainerError: a simulation process ended while it was starting")
    assert "if __name__ == '__main__':" in last


def test_a_script_with_a_guard_simulates(script):
    done = run(script(GUARDED))

    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 4]\n", "")


def test_a_session_without_a_file_needs_no_guard():
    done = run("-c", UNGUARDED)

    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 4]\n", "")
