"""Predictors, played by a program of its own: on `update` they score every text in one long transaction.

Run by an interpreter that has scikit-learn but neither al_learner nor the tests, so what they read must load there and
fit together. A line of JSON on standard input asks for a predictor, which is forked, for the imports take long; its
process id is the answer. What it does it says as lines of JSON in a file. When PostgreSQL or Redis goes away it starts
anew, as Docker would restart it; every other error is said, and ends it.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import signal
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

RESTART_S = 0.1

PRELOADED = ("numpy", "scipy.sparse", "sklearn.feature_extraction.text", "sklearn.naive_bayes", "sklearn.pipeline")

Connection = psycopg.Connection[Any]


class Gone(Exception):
    """PostgreSQL or Redis is not there, or has cut the connection."""


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, "at": time.time()} | fields), flush=True)  # noqa: T201 - read by the tests


def serve(chance: random.Random, write_s: float) -> None:
    """Start as the predictor does, and answer every `update`."""
    connection = psycopg.connect()
    client = redis.Redis(
        host=os.environ["REDIS_HOST"], port=int(os.environ["REDIS_PORT"]), decode_responses=True,
        retry=Retry(NoBackoff(), 0),
    )  # fmt: skip
    with connection, client, client.pubsub() as subscription:
        subscription.subscribe("predictor")
        client.set("queryFlag", "unavailable")
        client.set("queryCounter", 0)
        for message in subscription.listen():
            if message["type"] == "subscribe":
                say("subscribed")
            elif message["data"] == "update":
                say("heard")
                clf_id, labels = score(connection)
                client.set("queryFlag", "unavailable")
                write(connection, labels, chance, write_s)
                client.set("queryFlag", "available")
                say("wrote", clf_id=clf_id, texts=len(labels))


def score(connection: Connection) -> tuple[int, dict[int, str]]:
    """Return the newest classifier's id and its label for every text."""
    vectorizer = pickle.loads(newest(connection, "countvecs", "countvec_id", "countvec")[1])
    clf_id, blob = newest(connection, "classifiers", "clf_id", "clf")
    classifier = pickle.loads(blob)
    rows = connection.execute("SELECT text_id, text_data FROM text_data ORDER BY text_id").fetchall()
    connection.commit()
    X = vectorizer.transform([text for _, text in rows])
    probabilities = classifier.predict_proba(X)
    assert probabilities.shape == (len(rows), len(classifier.classes_))
    assert abs(probabilities.sum(axis=1) - 1).max() < 1e-5
    return clf_id, {row[0]: str(label) for row, label in zip(rows, classifier.predict(X), strict=True)}


def newest(connection: Connection, table: str, key: str, column: str) -> tuple[int, bytes]:
    row = connection.execute(f"SELECT {key}, {column} FROM {table} ORDER BY {key} DESC LIMIT 1").fetchone()
    assert row is not None
    return row


def write(connection: Connection, labels: dict[int, str], chance: random.Random, write_s: float) -> None:
    """Update every row in random order, in one transaction that takes at least `write_s` seconds."""
    ids = [*labels]
    chance.shuffle(ids)
    for done, text_id in enumerate(ids):
        if done == len(ids) // 2:
            say("writing")
            time.sleep(write_s)  # what the scenario is about: row locks that are held for long
        connection.execute(
            "UPDATE text_data SET predicted_label = %s, uncertainty = %s WHERE text_id = %s",
            (labels[text_id], chance.random(), text_id),
        )
    connection.commit()


def is_outage(exc: BaseException) -> bool:
    """Tell whether a server is away or cut us off, from an error that we caused, such as a deadlock."""
    if isinstance(exc, psycopg.OperationalError):
        return exc.sqlstate is None or exc.sqlstate.startswith("57P")
    return isinstance(exc, redis.ConnectionError | redis.TimeoutError)


def live(seed: int, write_s: float) -> None:
    """Be a predictor, to the first error."""
    chance = random.Random(seed)
    while True:
        try:
            serve(chance, write_s)
        except Exception as exc:  # noqa: BLE001 - it is said
            say("outage" if is_outage(exc) else "failed", error=f"{type(exc).__name__}: {exc}")
            if not is_outage(exc):
                return
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
                live(order["seed"], order["write_s"])
            os._exit(1)
        print(pid, flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
