"""A file that is written gets its name when it is complete, and only then."""

from __future__ import annotations

import gzip
import os
import stat
from pathlib import Path

import pytest

from al_learner.core.errors import DataError
from al_learner.core.exchange.output.files import replacing


def write(path, content=b"new", **options):
    with replacing(path, **options) as out:
        out.write(content)


def test_a_file_has_its_name_only_when_it_is_complete(tmp_path):
    with replacing(tmp_path / "out.csv") as out:
        out.write(b"new")
        assert not (tmp_path / "out.csv").exists()

    assert (tmp_path / "out.csv").read_bytes() == b"new"
    assert [*tmp_path.iterdir()] == [tmp_path / "out.csv"]


def test_an_existing_file_is_kept_unless_it_may_be_replaced(tmp_path):
    file = tmp_path / "out.csv"
    file.write_bytes(b"old")

    with pytest.raises(DataError, match=r"out.csv exists already; --force overwrites it"):
        write(file)
    assert file.read_bytes() == b"old"
    write(file, force=True)
    assert file.read_bytes() == b"new"


def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "out.csv"
    file.write_bytes(b"old")

    def fail():
        with replacing(file, force=True) as out:
            out.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [(path, path.read_bytes()) for path in tmp_path.iterdir()] == [(file, b"old")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    file = tmp_path / "out.csv"
    (tmp_path / f".out.csv.{os.getpid()}").symlink_to("/dev/full")

    with pytest.raises(DataError, match=r"out.csv: cannot be written: No space left on device"):
        write(file)
    assert [*tmp_path.iterdir()] == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere/out.csv: cannot be written: No such file"):
        write(tmp_path / "nowhere" / "out.csv")


def test_what_is_no_file_is_not_replaced(tmp_path):
    with pytest.raises(DataError, match="not a regular file; write to standard output"):
        write(tmp_path, force=True)
    with pytest.raises(DataError, match="/dev/null: not a regular file"):
        write(Path("/dev/null"), force=True)


def test_a_name_that_ends_with_gz_is_gzipped_the_same_each_time(tmp_path):
    write(tmp_path / "a.csv.gz", b"text" * 100)
    write(tmp_path / "b.CSV.GZ", b"text" * 100)

    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()) == b"text" * 100
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.CSV.GZ").read_bytes()


def test_a_file_may_be_read_like_any_file_of_its_owner(tmp_path):
    previous = os.umask(0o027)
    try:
        write(tmp_path / "out.csv")
    finally:
        os.umask(previous)

    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == 0o640
