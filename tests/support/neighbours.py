"""The services beside al_learner, played by a program of its own, through the database and the channels alone.

Run by an interpreter that has pandas, scikit-learn, numpy and lightgbm, but neither al_learner nor the tests. It fills
the tables as db_helper does, votes as two annotators through the API do, and scores every text as the predictor does,
while the next votes arrive. What it counts on is asserted; what it saw is printed as JSON when all went well.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import redis

DEADLINE_S = 60
LABELS = ("cooking", "ignored", "sport", "travel")
N_TEXTS = 200
ANNOTATORS = ("anna", "ben")
BATCH_SIZE = int(os.environ["BATCH_SIZE"])

Connection = psycopg.Connection[Any]


class Corpus:
    """Short texts, each about one of the labels, made of that label's words and of everybody's."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.truth = dict(map(self._text, range(N_TEXTS)))
        self.prelabelled = [self._text(n) for n in range(12)]

    def _text(self, number: int) -> tuple[str, str]:
        label = LABELS[number % len(LABELS)]
        own = [f"{label}{self._random.randrange(8)}" for _ in range(4)]
        common = [f"word{self._random.randrange(40)}" for _ in range(self._random.randrange(3, 9))]
        words = [*own, *common, f"text{number}"]
        self._random.shuffle(words)
        return " ".join(words), label


class Predictor(threading.Thread):
    """al_predictor: scores every text with the newest pair whenever `update` comes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: list[int] = []
        self.overlaps = 0
        self.error: BaseException | None = None
        self.vote_is_sent = threading.Event()
        self._changed = threading.Condition()
        self._is_over = False
        self._redis = connect_redis()
        self._subscriber = self._redis.pubsub()
        self._subscriber.subscribe("predictor")
        self._redis.set("queryFlag", "unavailable")
        self._redis.set("queryCounter", 0)

    def run(self) -> None:
        try:
            with connect() as connection:
                for message in self._subscriber.listen():
                    if message["data"] == "that was all":
                        return
                    if message["data"] == "update":
                        self._score_every_text(connection)
        except BaseException as exc:
            with self._changed:
                self.error = exc
                self._changed.notify_all()
            raise
        finally:
            self._subscriber.close()
            self._redis.close()

    def wait_for(self, count: int) -> None:
        """Wait until this many classifiers have been read."""
        with self._changed:
            is_there = self._changed.wait_for(lambda: self.error or len(self.seen) >= count, DEADLINE_S)
        assert self.error is None, f"the predictor failed: {self.error!r}"
        assert is_there, f"waited for {count} classifiers; the predictor has seen {self.seen}"

    def stop(self) -> None:
        """Let it end what it does, and wait for it."""
        self._is_over = True
        self.vote_is_sent.set()
        with connect_redis() as client:
            client.publish("predictor", "that was all")
        self.join(DEADLINE_S)
        assert not self.is_alive()

    def _score_every_text(self, connection: Connection) -> None:
        vectorizer = pickle.loads(newest(connection, "countvecs", "countvec_id", "countvec")[1])
        clf_id, blob = newest(connection, "classifiers", "clf_id", "clf")
        classifier = pickle.loads(blob)
        frame = all_texts(connection)
        X = vectorizer.transform(frame["text_data"].to_numpy().astype(str))
        probabilities = classifier.predict_proba(X)
        frame["predicted_label"] = classifier.predict(X)
        frame["uncertainty"] = probabilities.max(axis=1)

        assert X.dtype == np.float32
        assert probabilities.shape == (N_TEXTS, len(classifier.classes_))
        assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
        assert {*frame["predicted_label"]} <= {*classifier.classes_} <= {*LABELS}

        if self.seen:  # nobody votes before the first scores are there
            self.vote_is_sent.clear()
        with self._changed:
            if clf_id not in self.seen:
                self.seen.append(clf_id)
            self._changed.notify_all()
        self._write(connection, frame)

    def _write(self, connection: Connection, frame: pd.DataFrame) -> None:
        """Update every row in one transaction, half of them after the next vote was sent."""
        self._redis.set("queryFlag", "unavailable")
        for done, row in enumerate(frame.itertuples()):
            if done == N_TEXTS // 2 and len(self.seen) > 1:
                assert self.vote_is_sent.wait(DEADLINE_S)
                self.overlaps += not self._is_over
            connection.execute(
                "UPDATE text_data SET uncertainty = %s, predicted_label = %s WHERE text_id = %s",
                (float(row.uncertainty), str(row.predicted_label), int(row.text_id)),
            )
        connection.commit()
        self._redis.set("queryFlag", "available")


class Api:
    """The API: hands out the text that the classifier is least sure of, stores votes, publishes now and then.

    Here it hands them out in turn from each label's quarter of the texts, so that the first batch has two classes.
    """

    def __init__(self, corpus: Corpus, predictor: Predictor) -> None:
        self.publications = 0
        self._truth, self._predictor = corpus.truth, predictor
        self._redis = connect_redis()
        self._connection = connect(autocommit=True)
        self._voted = 0

    def close(self) -> None:
        self._connection.close()
        self._redis.close()

    def work_on_a_text(self) -> None:
        """Let both annotators vote on the next text; they agree but for every seventh text."""
        text_id, text = self._next_text()
        self._voted += 1
        self._vote(text_id, self._truth[text], ANNOTATORS[0])
        other = next(label for label in LABELS if label != self._truth[text])
        self._vote(text_id, other if self._voted % 7 == 0 else self._truth[text], ANNOTATORS[1])

    def _next_text(self) -> tuple[int, str]:
        row = self._connection.execute(
            "SELECT text_id, text_data FROM text_data WHERE NOT (%s = ANY (users))"
            " ORDER BY text_id %% %s = %s DESC, uncertainty LIMIT 1",
            (ANNOTATORS[0], len(LABELS), self._voted % len(LABELS)),
        ).fetchone()
        assert row is not None
        return row

    def _vote(self, text_id: int, label: str, user: str) -> None:
        # The API drops a vote if queryFlag is not `available`; it looks before it stores, so that votes which passed
        # arrive while the predictor writes. All of these did.
        self._predictor.vote_is_sent.set()
        done = self._connection.execute(
            "UPDATE text_data SET labels = array_append(labels, %s), users = array_append(users, %s)"
            " WHERE text_id = %s",
            (label, user, text_id),
        )
        assert done.rowcount == 1
        counter = int(self._redis.get("queryCounter")) + 1
        self._redis.set("queryCounter", counter)
        if counter % BATCH_SIZE == 0:
            self._redis.publish("learner", "update")
            self.publications += 1


def connect(**options: Any) -> Connection:
    return psycopg.connect(**options)


def connect_redis() -> redis.Redis:
    return redis.Redis(host=os.environ["REDIS_HOST"], port=int(os.environ["REDIS_PORT"]), decode_responses=True)


def newest(connection: Connection, table: str, key: str, column: str) -> tuple[int, bytes]:
    row = connection.execute(f"SELECT {key}, {column} FROM {table} ORDER BY {key} DESC LIMIT 1").fetchone()
    assert row is not None
    return row


def all_texts(connection: Connection) -> pd.DataFrame:
    rows = connection.execute("SELECT text_id, text_data FROM text_data ORDER BY text_id").fetchall()
    return pd.DataFrame(rows, columns=["text_id", "text_data"])


def wait_until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.02)  # between two looks at rows and keys, which call nobody; the deadline is above


def fill_tables(corpus: Corpus, *, with_init_data: bool) -> None:
    """Load as db_helper does: the labels come last, in a commit of their own."""
    with connect() as connection, connection.cursor() as cursor:
        if with_init_data:
            cursor.executemany("INSERT INTO init_data (text_data, label) VALUES (%s, %s)", corpus.prelabelled)
        connection.commit()
        cursor.executemany("INSERT INTO accessors (email) VALUES (%s)", [(user,) for user in ANNOTATORS])
        connection.commit()
        cursor.executemany(
            "INSERT INTO text_data (text_data, labels, users, labeled, selected, taught)"
            " VALUES (%s, '{}', '{}', false, false, false)",
            [(text,) for text in corpus.truth],
        )
        connection.commit()
        cursor.executemany("INSERT INTO labels (label) VALUES (%s)", [(label,) for label in LABELS])


def count_classifiers() -> int:
    with connect() as connection:
        row = connection.execute("SELECT count(*) FROM classifiers WHERE download = 0").fetchone()
    assert row is not None
    return int(row[0])


def accuracies(corpus: Corpus) -> list[float]:
    """Return how often each classifier, with the newest vectorizer as dl_manager takes it, is right on voted texts."""
    with connect() as connection:
        vectorizer = pickle.loads(newest(connection, "countvecs", "countvec_id", "countvec")[1])
        voted = connection.execute("SELECT text_data FROM text_data WHERE users <> '{}'").fetchall()
        texts = [text for (text,) in voted]
        truth = np.array([corpus.truth[text] for text in texts])
        classifiers = connection.execute("SELECT clf FROM classifiers ORDER BY clf_id").fetchall()
    X = vectorizer.transform(texts)
    return [float(np.mean(pickle.loads(clf).predict(X) == truth)) for (clf,) in classifiers]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--publications", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--init-data", action="store_true")
    wanted = parser.parse_args()
    assert find_spec("al_learner") is None
    assert find_spec("tests") is None
    assert os.environ["MIN_LABEL_COUNT"] == str(len(ANNOTATORS))

    corpus = Corpus(wanted.seed)
    predictor = Predictor()
    predictor.start()
    fill_tables(corpus, with_init_data=wanted.init_data)
    with connect_redis() as client:
        wait_until(lambda: client.pubsub_numsub("learner")[0][1], "the learner to listen")
        client.publish("learner", "init")
        predictor.wait_for(1)
        wait_until(lambda: client.get("queryFlag") == "available", "texts to be handed out")

    api, n_classifiers = Api(corpus, predictor), 1
    new_samples = 0
    while api.publications < wanted.publications:
        assert count_classifiers() == n_classifiers, "a classifier that nothing was due for"
        api.work_on_a_text()
        new_samples += 1
        if new_samples == BATCH_SIZE:
            n_classifiers, new_samples = n_classifiers + 1, 0
            predictor.wait_for(n_classifiers)
    api.close()
    predictor.stop()
    assert predictor.error is None

    said = {"publications": api.publications, "classifiers": predictor.seen, "overlaps": predictor.overlaps}
    print(json.dumps(said | {"accuracies": accuracies(corpus)}))  # noqa: T201 - read by the test


if __name__ == "__main__":
    main()
