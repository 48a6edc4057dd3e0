"""The heartbeat's file: in a folder that nobody else can write to, and never through a link."""

import os
import stat

import pytest

from al_learner.core.service import heartbeat
from al_learner.core.service.heartbeat import beat, seconds_since_beat

OLD = 1_000_000_000.0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "FOLDER", tmp_path / "al-learner-0")
    return tmp_path / "al-learner-0"


@pytest.fixture(params=["configured", "default"])
def file(request, folder, tmp_path):
    """Return the setting, and the file that it means."""
    if request.param == "configured":
        return tmp_path / "beat", tmp_path / "beat"
    folder.mkdir(mode=0o700)
    return None, folder / "heartbeat"


def test_a_beat_is_seen(file):
    setting, path = file

    beat(setting)
    assert 0 <= seconds_since_beat(setting) < 60
    os.utime(path, (OLD, OLD))
    assert seconds_since_beat(setting) > 60
    beat(setting)

    assert 0 <= seconds_since_beat(setting) < 60
    assert path.stat().st_size == 0


def test_without_a_worker_there_is_no_file(file):
    with pytest.raises(FileNotFoundError):
        seconds_since_beat(file[0])


def test_the_default_folder_is_made_for_this_user_alone(folder):
    beat(None)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == ["heartbeat"]


def test_no_link_is_followed(file, tmp_path):
    setting, path = file
    target = tmp_path / "target"
    target.write_text("mine", encoding="utf-8")
    os.utime(target, (OLD, OLD))
    path.symlink_to(target)

    with pytest.raises(OSError, match="symbolic links"):
        beat(setting)
    with pytest.raises(OSError, match="not a regular file"):
        seconds_since_beat(setting)
    assert target.stat().st_mtime == OLD


def test_a_link_to_nothing_makes_no_file(file, tmp_path):
    setting, path = file
    path.symlink_to(tmp_path / "nothing")

    with pytest.raises(OSError, match="symbolic links"):
        beat(setting)
    assert not (tmp_path / "nothing").exists()


def test_a_pipe_in_its_place_keeps_nobody_waiting(file):
    setting, path = file
    os.mkfifo(path)

    with pytest.raises(OSError, match="No such device"):
        beat(setting)


@pytest.mark.parametrize("kind", ["link", "writable", "foreign", "file"])
def test_a_default_folder_that_others_may_have_made_is_refused(folder, tmp_path, kind, monkeypatch):
    if kind == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    elif kind == "file":
        folder.touch()
    else:
        folder.mkdir(mode=0o700)
    if kind == "writable":
        folder.chmod(0o777)
    if kind == "foreign":
        monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)

    for action in (beat, seconds_since_beat):
        with pytest.raises(OSError, match="al-learner-0"):
            action(None)
    assert kind == "file" or [*folder.iterdir()] == []
