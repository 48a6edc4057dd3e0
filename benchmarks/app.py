"""LabelForward as a worker sees it: the tables, the two channels, and votes. Nothing here knows al_learner."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.predictor import ear
from tests.support.servers import Postgres, Redis

SCHEMA = Path(__file__).parents[1] / "tests" / "support" / "labelforward.sql"
POLL_S = 0.5
"""How long one wait for a message lasts. After it, the program checks that the worker is still alive."""


def make_template(postgres: Postgres, name: str, rows: Iterable[tuple[str, str]]) -> str:
    """Make a database with LabelForward's tables and unlabelled texts, to be cloned; table labels stays empty.

    It is vacuumed and analysed, so that no autovacuum starts while something is measured just after the load.
    """
    with postgres.connect() as connection:
        connection.execute(f"CREATE DATABASE {name}")
    with postgres.connect(name) as connection:
        connection.execute(SCHEMA.read_text(encoding="utf-8"))
        columns = "text_data, labeled, selected, taught, labels, users"
        with connection.cursor().copy(f"COPY text_data ({columns}) FROM STDIN") as copy:
            for text, _ in rows:
                copy.write_row((text, False, False, False, [], []))
        connection.execute("VACUUM ANALYZE text_data")
    return name


class App:
    """One clone of a template, and LabelForward's services: db_helper, the API, and a predictor that only listens.

    The predictor takes no time: it only receives messages. The flag stays ``available``. So no worker thinks that
    it died.

    Parameters
    ----------
    postgres, redis_server
        The running servers.
    template : str
        What `make_template` returned.
    label_names : sequence of str
        What db_helper writes into table labels, last.
    """

    def __init__(self, postgres: Postgres, redis_server: Redis, template: str, label_names: Sequence[str]) -> None:
        self._postgres, self._label_names = postgres, label_names
        self.database = postgres.clone(template)
        self.environment = postgres.environment(self.database) | redis_server.environment()
        self._connection = postgres.connect(self.database)
        self._redis = redis_server.client()
        self._redis.flushall()
        self._redis.set("queryFlag", "available")
        self._predictor = ear(self._redis)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._predictor.close()
        self._redis.close()
        self._connection.close()
        self._postgres.drop(self.database)

    def is_received(self) -> bool:
        """Whether a worker has subscribed to learner."""
        return bool(self._redis.pubsub_numsub("learner")[0][1])

    def end_loading(self) -> None:
        """Commit the rows of table labels, as db_helper does last."""
        with self._connection.cursor().copy("COPY labels (label) FROM STDIN") as copy:
            for name in self._label_names:
                copy.write_row((name,))

    def vote(self, text_ids: Sequence[int], labels: Sequence[str]) -> None:
        """Append one vote to each text, all in one transaction, so that no worker can see a part of them."""
        with self._connection.transaction():
            self._connection.execute("CREATE TEMP TABLE votes (text_id int PRIMARY KEY, label text) ON COMMIT DROP")
            with self._connection.cursor().copy("COPY votes FROM STDIN") as copy:
                for row in zip(text_ids, labels, strict=True):
                    copy.write_row(row)
            done = self._connection.execute(
                "UPDATE text_data AS t"
                " SET labels = array_append(t.labels, v.label), users = array_append(t.users, 'ada')"
                " FROM votes AS v WHERE v.text_id = t.text_id"
            )
        assert done.rowcount == len(text_ids), f"{len(text_ids)} votes, but {done.rowcount} texts have them"

    def seconds_until_announced(
        self, payload: str, *, is_alive: Callable[[], bool], deadline_s: float
    ) -> tuple[float, int]:
        """Publish on learner and wait for `update` on predictor with a new classifier in the table.

        Returns
        -------
        seconds : float
            From the publication to the message, by the monotonic clock.
        clf_id : int
            Of the new classifier. An `update` without one, such as a repeated announcement, does not count.

        Raises
        ------
        RuntimeError
            The worker ended, or the deadline passed.
        """
        before = self.newest("classifiers", "clf_id")
        while self._predictor.get_message(timeout=0):
            pass  # what was announced earlier
        started = time.monotonic()
        self._redis.publish("learner", payload)
        while time.monotonic() - started < deadline_s:
            message = self._predictor.get_message(timeout=POLL_S)
            received = time.monotonic()
            if message is not None and message["data"] == "update":
                clf_id = self.newest("classifiers", "clf_id")
                if clf_id > before:
                    return received - started, clf_id
            elif message is None and not is_alive():
                raise RuntimeError(f"the worker ended before it answered {payload!r}")
        raise RuntimeError(f"no new classifier was announced within {deadline_s:g} s after {payload!r}")

    def n_voted(self) -> int:
        """Return how many texts have votes."""
        return int(self._value("SELECT count(*) FROM text_data WHERE labels != '{}'"))

    def newest(self, table: str, key: str) -> int:
        """Return the largest id of a table; 0 if it is empty."""
        return int(self._value(f"SELECT coalesce(max({key}), 0) FROM {table}"))

    def clf(self, clf_id: int) -> bytes:
        """Return a stored classifier."""
        return bytes(self._value(f"SELECT clf FROM classifiers WHERE clf_id = {clf_id}"))

    def countvec(self, countvec_id: int) -> bytes:
        """Return a stored vectorizer."""
        return bytes(self._value(f"SELECT countvec FROM countvecs WHERE countvec_id = {countvec_id}"))

    def clf_bytes(self, clf_id: int) -> int:
        """Return the size of a stored classifier."""
        return int(self._value(f"SELECT length(clf) FROM classifiers WHERE clf_id = {clf_id}"))

    def run_of(self, clf_id: int) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Return the strategies of the run that trained a classifier, and its prior: ``texts`` and their ``weight``."""
        run = f"FROM al_runs WHERE clf_id = {clf_id} ORDER BY run_id LIMIT 1"
        strategies, prior = self._value(f"SELECT strategies {run}"), self._value(f"SELECT prior {run}")
        if prior is None:
            return strategies, None
        texts = self._value(f"SELECT texts FROM al_priors WHERE prior_id = {prior['prior_id']}")
        return strategies, {"texts": texts, "weight": prior["weight"]}

    def _value(self, statement: str) -> Any:
        row = self._connection.execute(statement).fetchone()
        assert row is not None
        return row[0]
