"""What must hold after any fault, told from the tables alone: section 2 of the design in ten lines, and invariants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

Row = tuple[int, Sequence[str | None] | None, str | None, bool]
"""text_id, labels, major_label, taught."""

VOTED = "SELECT text_id, labels, major_label, taught FROM text_data ORDER BY text_id"


def countable(rows: Iterable[Row], min_label_count: int) -> Iterator[tuple[int, str, bool]]:
    """Yield id, label, and whether it is a new sample, of every countable text."""
    for text_id, labels, major, taught in rows:
        votes = [label for label in labels or () if label and len(label) <= 50]
        if len(votes) >= min_label_count:
            counts = Counter(votes)
            tied = [label for label in counts if counts[label] == max(counts.values())]  # in the order of first votes
            label = major if major in tied else tied[0]
            yield text_id, label, not taught or label != major


def broken_runs(query: Any, batch_size: int, deleted: Sequence[int] = ()) -> list[str]:
    """Return what is wrong with al_runs and with the stored classifiers.

    Parameters
    ----------
    query : callable
        Takes a statement, returns rows.
    deleted : sequence of int
        Classifiers that a fault deleted. After each of them one update may train on the same votes again.
    """
    gone = f"ARRAY[{', '.join(map(str, deleted))}]::int[]"
    repeated = {"two successes on one training state", "an update without a batch"}
    checks = {
        "two successes on one training state": (
            "SELECT state FROM al_runs WHERE status = 'succeeded' AND kind <> 'promote'"
            " GROUP BY state HAVING count(*) > 1"
        ),
        "a run began before the one before it had ended": (
            "SELECT run_id FROM (SELECT run_id, started, lag(coalesce(finished, 'infinity')) OVER (ORDER BY run_id)"
            " AS earlier FROM al_runs) AS runs WHERE started < earlier"
        ),
        "an update without a batch": (
            f"SELECT run_id FROM al_runs WHERE kind = 'update' AND status = 'succeeded' AND new_samples < {batch_size}"
        ),
        "a success without its classifier": (
            "SELECT run_id FROM al_runs LEFT JOIN classifiers USING (clf_id) LEFT JOIN countvecs USING (countvec_id)"
            f" WHERE status = 'succeeded' AND (clf IS NULL OR countvec IS NULL) AND clf_id <> ALL ({gone})"
        ),
        "a classifier without its success, or with two": (
            "SELECT clf_id FROM classifiers LEFT JOIN al_runs USING (clf_id) GROUP BY clf_id"
            " HAVING count(run_id) FILTER (WHERE status = 'succeeded') <> 1"
        ),
        "a run without success that names a classifier": (
            "SELECT run_id FROM al_runs WHERE status <> 'succeeded' AND coalesce(clf_id, countvec_id) IS NOT NULL"
        ),
        "a stored classifier that changed": (
            "SELECT clf_id FROM al_runs JOIN classifiers USING (clf_id) WHERE encode(sha256(clf), 'hex') <> clf_sha256"
        ),
        "a stored vectorizer that changed": (
            "SELECT run_id FROM al_runs JOIN countvecs USING (countvec_id)"
            " WHERE encode(sha256(countvec), 'hex') <> countvec_sha256"
        ),
        "a label that somebody is taught without": "SELECT text_id FROM text_data WHERE taught AND major_label IS NULL",
    }
    found = {what: query(check) for what, check in checks.items()}
    return [
        f"{what}: {[*sum(rows, ())]}"
        for what, rows in found.items()
        if len(rows) > (len(deleted) if what in repeated else 0)
    ]


def broken_votes(
    query: Any, stored: Sequence[tuple[int, str, str]], given: Callable[[], Iterable[tuple[int, str, str]]]
) -> list[str]:
    """Return votes that were lost, and votes that nobody gave.

    Parameters
    ----------
    stored : sequence of vote
        Votes that must be in the tables.
    given : callable
        Returns all votes that may be there; called after the tables were read.
    """
    rows = query("SELECT text_id, label, voter FROM text_data, unnest(labels, users) AS votes (label, voter)")
    found = Counter(rows)
    lost, foreign = Counter(stored) - found, found - Counter(given())
    return [*(f"a vote was lost: {vote}" for vote in lost), *(f"a vote that nobody gave: {vote}" for vote in foreign)]
