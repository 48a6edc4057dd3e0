"""The corpora that benchmarks.convert makes of what others publish."""

from __future__ import annotations

import io
import tarfile

from benchmarks.convert import fortunes, movies


def packed(**members):
    """Return a tar archive as bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return buffer.getvalue()


def test_sayings_have_the_name_of_their_file(tmp_path):
    (tmp_path / "work").write_text("One\nmore.\n%\n\n%\nTwo.\n%\n")
    (tmp_path / "work.dat").write_bytes(b"\0")
    (tmp_path / "work.u8").symlink_to("work")
    assert [*fortunes(tmp_path)] == [("One\nmore.", "work"), ("Two.", "work")]


def test_sentences_have_the_sign_of_their_rating(tmp_path):
    lines = "1\t2.5\tA caf\xe9 of a film.\n2\t-0.6\tToo tepid.\r\n".encode("latin-1")
    inner = packed(**{"hutto/tweets.txt": b"", "hutto/movieReviewSnippets_GroundTruth.txt": lines})
    archive = tmp_path / "source.tar.gz"
    archive.write_bytes(packed(**{"vader/additional_resources/hutto_ICWSM_2014.tar.gz": inner}))
    assert [*movies(archive)] == [("A caf\xe9 of a film.", "positive"), ("Too tepid.", "negative")]
