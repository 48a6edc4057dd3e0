"""A process that its parent can kill at any time, and that never outlives it."""

import multiprocessing
import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from al_learner.core.processes.child_process import ChildProcess, how_it_ended
from tests.support.waiting import DEADLINE_S

FIRST_OF_ALL = """
from pathlib import Path
from al_learner.core.processes.child_process import ChildProcess
process = ChildProcess(print, name="first")
print(Path(f"/proc/{process.pid}/status").read_text())
process.kill()
"""


def answer(pipe, *words):
    while True:
        pipe.send((os.getpid(), words, pipe.recv()))


def answer_by_half(pipe):
    pipe.recv()
    os.write(pipe.fileno(), struct.pack("!i", 100) + b"half")
    pipe.recv()


def exit_with(pipe, code):
    del pipe
    os._exit(code)


@pytest.fixture
def process():
    process = ChildProcess(answer, "a", "b", name="test")
    yield process
    process.kill()


def test_it_serves_with_the_arguments_in_a_process_of_its_own(process):
    assert process.ask("request").result(DEADLINE_S) == (process.pid, ("a", "b"), "request")
    assert process.is_alive


def test_whoever_waits_for_an_answer_is_woken_by_its_end(process):
    process.ask("request").result(DEADLINE_S)
    psutil.Process(process.pid).suspend()
    late = process.ask("request")
    psutil.Process(process.pid).kill()
    with pytest.raises((EOFError, OSError)):
        late.result(DEADLINE_S)
    assert how_it_ended(process.join()) == "was killed by SIGKILL, perhaps because the memory was used up"


def test_an_answer_that_stops_in_the_middle_ends_with_the_process():
    process = ChildProcess(answer_by_half, name="test")
    answer = process.ask("request")
    process.kill()
    with pytest.raises((EOFError, OSError)):
        answer.result(0)


def test_a_process_that_still_runs_has_no_exit_code(process):
    assert process.join(0) is None
    assert how_it_ended(None) == "closed its pipe, and was killed"


def test_an_exit_code_is_reported():
    process = ChildProcess(exit_with, 3, name="test")
    code = process.join()
    process.kill()
    assert how_it_ended(code) == "ended by itself, with exit code 3"


def start_one(outcome):
    process = ChildProcess(answer, name="test")
    outcome.send(process.ask("request").result(DEADLINE_S)[2])
    process.kill()


def test_a_process_of_multiprocessing_can_start_one():
    """A Dask worker is one, and a daemon, which multiprocessing allows no child processes."""
    ours, theirs = multiprocessing.Pipe()
    daemon = multiprocessing.get_context("spawn").Process(target=start_one, args=(theirs,), daemon=True)
    daemon.start()
    theirs.close()
    assert ours.recv() == "request"
    daemon.join(DEADLINE_S)
    assert daemon.exitcode == 0


def send_warnoptions(pipe):
    pipe.send(sys.warnoptions)


def test_it_has_the_options_of_its_parents_interpreter():
    """With `-W error`, as the tests start workers, a warning in a child process is an error too."""
    program = (
        "from al_learner.core.processes.child_process import ChildProcess\n"
        f"from {__name__} import send_warnoptions\n"
        "process = ChildProcess(send_warnoptions, name='test')\n"
        "print(process.pipe.recv())\n"
        "process.kill()"
    )
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])

    assert done.stdout == "['error']\n"


def test_ctrl_c_does_not_reach_even_the_first_process_from_its_first_moment_on():
    """A terminal sends it to all processes, and its parent alone may end it."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_OF_ALL], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )

    kept_away = 0
    for mask in ("SigBlk", "SigIgn"):
        found = re.search(rf"^{mask}:\s*(\w+)$", done.stdout, re.MULTILINE)
        assert found
        kept_away |= int(found[1], 16)
    for number in (signal.SIGINT, signal.SIGTERM):
        assert kept_away & 1 << (number - 1)
