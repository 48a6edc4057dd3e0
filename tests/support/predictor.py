"""A stand-in for al_predictor: on `update` it scores every text, and writes all rows in one long transaction.

`Predictor` needs psycopg, redis and what reads our artifacts; it can be imported without al_learner and the rest of the
tests. Run as a program, by an interpreter that has neither of them, this module makes predictors: a line of JSON on
standard input asks for one, which is forked, for the imports take long; its process id is the answer. What it does it
says as lines of JSON in a file. When PostgreSQL or Redis goes away it starts anew, as Docker would restart it; every
other error is said, and ends it.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

RESTART_S = 0.1
DEADLINE_S = 30
END = "that was all"
"""A message that ends a predictor."""

PRELOADED = ("numpy", "scipy.sparse", "sklearn.feature_extraction.text", "sklearn.naive_bayes", "sklearn.pipeline")

Connection = psycopg.Connection[Any]
Scores = Mapping[int, tuple[str, float]]
"""By text_id: predicted_label and uncertainty."""


class Predictor:
    """Answers every `update`, until END. A subclass hears what it says, and may hold it up.

    Parameters
    ----------
    seed : int
        Of the order in which it writes rows.
    """

    def __init__(self, seed: int = 0) -> None:
        self._chance = random.Random(seed)

    def say(self, event: str, **fields: Any) -> None:
        """Tell what it has done: subscribed, heard, scored, wrote."""

    def half_way(self) -> None:
        """Called when half of the rows are written, and locked."""

    def serve(self) -> None:
        """Start as the predictor does, and answer every message."""
        with psycopg.connect() as connection, connect_redis() as client, ear(client) as subscription:
            client.set("queryFlag", "unavailable")
            client.set("queryCounter", 0)
            self.say("subscribed")
            for message in subscription.listen():
                if message["data"] == END:
                    return
                if message["data"] == "update":
                    self.say("heard")
                    clf_id, scores = score(connection)
                    self.say("scored", clf_id=clf_id)
                    client.set("queryFlag", "unavailable")
                    write(connection, scores, self._chance, self.half_way)
                    client.set("queryFlag", "available")
                    self.say("wrote", clf_id=clf_id, texts=len(scores))


def connect_redis() -> redis.Redis:
    """Return a client of the Redis that the environment names; it tries nothing twice."""
    return redis.Redis(
        host=os.environ["REDIS_HOST"], port=int(os.environ["REDIS_PORT"]), decode_responses=True,
        retry=Retry(NoBackoff(), 0),
    )  # fmt: skip


def ear(client: redis.Redis) -> Any:
    """Return a subscription to `predictor` that Redis has confirmed."""
    subscription = client.pubsub()
    subscription.subscribe("predictor")
    assert subscription.get_message(timeout=DEADLINE_S), "Redis confirmed no subscription"
    return subscription


def score(connection: Connection) -> tuple[int, Scores]:
    """Return the newest classifier's id, and what it says of every text."""
    import numpy as np  # `write` needs none of this

    vectorizer = pickle.loads(newest(connection, "countvecs", "countvec_id", "countvec")[1])
    clf_id, blob = newest(connection, "classifiers", "clf_id", "clf")
    classifier = pickle.loads(blob)
    rows = connection.execute("SELECT text_id, text_data FROM text_data ORDER BY text_id").fetchall()
    connection.commit()
    X = vectorizer.transform(np.array([text for _, text in rows], object).astype(str))
    probabilities = classifier.predict_proba(X)
    labels = classifier.predict(X)
    assert X.dtype == np.float32
    assert probabilities.shape == (len(rows), len(classifier.classes_))
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert {*labels} <= {*classifier.classes_}
    found = zip(rows, labels, probabilities.max(axis=1), strict=True)
    return clf_id, {text_id: (str(label), float(highest)) for (text_id, _), label, highest in found}


def newest(connection: Connection, table: str, key: str, column: str) -> tuple[int, bytes]:
    """Return the id and the bytes of a table's newest row."""
    row = connection.execute(f"SELECT {key}, {column} FROM {table} ORDER BY {key} DESC LIMIT 1").fetchone()
    assert row is not None
    return row


def write(connection: Connection, scores: Scores, chance: random.Random, half_way: Callable[[], object]) -> None:
    """Update every row in random order, in one transaction, which keeps its row locks to the end."""
    ids = [*scores]
    chance.shuffle(ids)
    for done, text_id in enumerate(ids):
        if done == len(ids) // 2:
            half_way()
        connection.execute(
            "UPDATE text_data SET predicted_label = %s, uncertainty = %s WHERE text_id = %s",
            (*scores[text_id], text_id),
        )
    connection.commit()


def is_outage(exc: BaseException) -> bool:
    """Tell whether a server is away or cut us off, from an error that we caused, such as a deadlock."""
    if isinstance(exc, psycopg.OperationalError):
        return exc.sqlstate is None or exc.sqlstate.startswith("57P")
    return isinstance(exc, redis.ConnectionError | redis.TimeoutError)


class Program(Predictor):
    """A predictor that says on standard output what it does, and whose transaction takes `write_s` seconds at least."""

    def __init__(self, seed: int, write_s: float) -> None:
        super().__init__(seed)
        self._write_s = write_s

    def say(self, event: str, **fields: Any) -> None:
        print(json.dumps({"event": event, "at": time.time()} | fields), flush=True)  # noqa: T201 - read by the tests

    def half_way(self) -> None:
        self.say("writing")
        time.sleep(self._write_s)  # what the scenario is about: row locks that are held for long

    def live(self) -> None:
        """Serve, to the first error that is no outage."""
        while True:
            try:
                return self.serve()
            except Exception as exc:  # noqa: BLE001 - it is said
                self.say("outage" if is_outage(exc) else "failed", error=f"{type(exc).__name__}: {exc}")
                if not is_outage(exc):
                    return None
                time.sleep(RESTART_S)  # what Docker waits before it starts a container again


def main() -> None:
    assert find_spec("al_learner") is None
    assert find_spec("tests") is None
    for module in PRELOADED:
        import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # leaves no zombies
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.environ.update(order["environment"])
            with open(order["file"], "a", encoding="utf-8") as sys.stdout:  # noqa: PTH123 - quicker to see
                Program(order["seed"], order["write_s"]).live()
            os._exit(1)
        print(pid, flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
