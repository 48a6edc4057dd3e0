"""``python -m benchmarks.voted``: reading the state of a project in which every text has a vote. See README.md."""

from __future__ import annotations

import argparse
import resource
import statistics
import time

import numpy as np
import psycopg

from al_learner.core.project import Project
from benchmarks import report
from benchmarks.app import make_template
from benchmarks.common import end_tidily, numbers
from benchmarks.process import without_settings
from tests.support import servers

N_LABELS = 50
READS = 5

VOTE_ON_ALL = f"""
    UPDATE text_data SET labels = ARRAY['label ' || text_id % {N_LABELS}], users = ARRAY['annotator ' || text_id % 7],
        major_label = 'label ' || text_id % {N_LABELS}, taught = true
"""

VOTE = """
    UPDATE text_data SET labels = array_append(labels, 'label 1'), users = array_append(users, 'somebody')
    WHERE text_id = ANY(%s)
"""


def main() -> None:
    """Measure, and print a row for each number of texts."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.voted", description=__doc__)
    options.add_argument("--texts", type=numbers, default=(100_000, 1_000_000), help="100000,1000000; each has a vote")
    options.add_argument("--votes", type=int, default=50, help="number of new votes before each further reading")
    chosen = options.parse_args()
    end_tidily()
    without_settings()  # of the developer
    rows = []
    with servers.running() as (postgres, _):
        for size in chosen.texts:
            template = make_template(postgres, f"voted_{size}", ((f"text {n}", "") for n in range(size)))
            with psycopg.connect(postgres.url(template), autocommit=True) as connection:
                connection.execute(VOTE_ON_ALL)
                connection.execute("VACUUM ANALYZE text_data")
                rows.append([f"{size:,}", *_measured(postgres.url(template), connection, size, chosen.votes)])
    header = ["voted texts", "first reading, s", f"after {chosen.votes} votes, s", "peak, MiB"]
    print(report.markdown(header, rows))


def _measured(url: str, connection: psycopg.Connection, size: int, n_votes: int) -> list[str]:
    rng = np.random.default_rng(0)
    seconds = []
    project = Project(url, classifier="logreg", vectorizer="hashing")
    try:
        project.prepare()
        for number in range(READS + 1):
            started = time.monotonic()
            state = project.read_state()
            seconds.append(time.monotonic() - started)
            assert state.facts.new_samples <= number * n_votes
            connection.execute(VOTE, [(rng.permutation(size)[:n_votes] + 1).tolist()])
    finally:
        project.close()
    return [
        f"{seconds[0]:.2f}",
        f"{statistics.median(seconds[1:]):.2f}",
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}",
    ]


if __name__ == "__main__":
    main()
