"""Two more public corpora as JSON lines, for ``al-learner simulate --data``.

``python -m benchmarks.convert fortunes FOLDER > fortunes.jsonl``: sayings and the collection each is in, from the
folder where Debian's package `fortunes` puts them (/usr/share/games/fortunes).

``python -m benchmarks.convert movies ARCHIVE > movies.jsonl``: sentences of film reviews, positive or negative, from
the source archive that ``pip download --no-deps --no-binary :all: vaderSentiment==3.3.2`` fetches.

References
----------
Hutto and Gilbert (2014). VADER: a parsimonious rule-based model for sentiment analysis of social media text. ICWSM.
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.common import say

NESTED = "additional_resources/hutto_ICWSM_2014.tar.gz"
SENTENCES = "movieReviewSnippets_GroundTruth.txt"


def main() -> None:
    """Write the corpus to standard output, and how large it is to standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=READERS)
    parser.add_argument("source", type=Path, help="folder or archive")
    arguments = parser.parse_args()
    rows = [{"text": text, "label": label} for text, label in READERS[arguments.corpus](arguments.source)]
    sys.stdout.writelines(json.dumps(row) + "\n" for row in rows)
    say(f"{len(rows):,} texts, {len({row['label'] for row in rows})} labels")


def fortunes(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each saying with the name of the file it is in."""
    for file in sorted(folder.iterdir()):
        if file.is_file() and not file.is_symlink() and not file.suffix:
            for saying in file.read_text(encoding="utf-8", errors="replace").split("\n%\n"):
                if saying.strip():
                    yield saying.strip(), file.name


def movies(archive: Path) -> Iterator[tuple[str, str]]:
    """Yield each sentence with the sign of its mean rating."""
    with tarfile.open(archive) as outer:
        nested = _member(outer, NESTED)
        with tarfile.open(fileobj=outer.extractfile(nested)) as inner:
            lines = inner.extractfile(_member(inner, SENTENCES))
            assert lines is not None
            for line in lines:
                _, rating, sentence = line.decode("latin-1").rstrip("\r\n").split("\t", 2)
                yield sentence, "positive" if float(rating) > 0 else "negative"


def _member(archive: tarfile.TarFile, ending: str) -> tarfile.TarInfo:
    return next(member for member in archive if member.isfile() and member.name.endswith(f"/{ending}"))


READERS = {"fortunes": fortunes, "movies": movies}

if __name__ == "__main__":
    main()
