"""The services beside al_learner, played by a program of its own, through the database and the channels alone.

Run by an interpreter that has pandas, scikit-learn, numpy and lightgbm, but neither al_learner nor the tests. It fills
the tables as db_helper does, votes as two annotators through the API do, and lets the stand-in predictor score every
text, while the next votes arrive. What it counts on is asserted; what it saw is printed as JSON when all went well.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

sys.path.append(str(Path(__file__).parent))  # isolated, the interpreter does not look there by itself

from predictor import END, Predictor, connect_redis, newest
from waiting import wait_until

DEADLINE_S = 60
LABELS = ("cooking", "ignored", "sport", "travel")
N_TEXTS = 200
ANNOTATORS = ("anna", "ben")
BATCH_SIZE = int(os.environ["BATCH_SIZE"])


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


class Listener(Predictor, threading.Thread):
    """The predictor, on a thread: its writes wait until the next vote was sent."""

    def __init__(self) -> None:
        threading.Thread.__init__(self, daemon=True)
        Predictor.__init__(self)
        self.seen: list[int] = []
        self.overlaps = 0
        self.error: BaseException | None = None
        self.vote_is_sent = threading.Event()
        self.is_subscribed = threading.Event()
        self._changed = threading.Condition()
        self._is_over = False

    def run(self) -> None:
        try:
            self.serve()
        except BaseException as exc:
            with self._changed:
                self.error = exc
                self._changed.notify_all()
            raise

    def say(self, event: str, **fields: Any) -> None:
        if event == "subscribed":
            self.is_subscribed.set()
        if event == "scored":
            self._note(fields["clf_id"])

    def half_way(self) -> None:
        if len(self.seen) > 1:
            assert self.vote_is_sent.wait(DEADLINE_S)
            self.overlaps += not self._is_over

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
            client.publish("predictor", END)
        self.join(DEADLINE_S)
        assert not self.is_alive()

    def _note(self, clf_id: int) -> None:
        if self.seen:  # nobody votes before the first scores are there
            self.vote_is_sent.clear()
        with self._changed:
            if clf_id not in self.seen:
                self.seen.append(clf_id)
            self._changed.notify_all()


class Api:
    """The API: hands out the text that the classifier is least sure of, stores votes, publishes now and then.

    Here it hands them out in turn from each label's quarter of the texts, so that the first batch has two classes.
    """

    def __init__(self, corpus: Corpus, predictor: Listener) -> None:
        self.publications = 0
        self._truth, self._predictor = corpus.truth, predictor
        self._redis = connect_redis()
        self._connection = psycopg.connect(autocommit=True)
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


def fill_tables(corpus: Corpus, *, with_init_data: bool) -> None:
    """Load as db_helper does: the labels come last, in a commit of their own."""
    with psycopg.connect() as connection, connection.cursor() as cursor:
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
    with psycopg.connect() as connection:
        row = connection.execute("SELECT count(*) FROM classifiers WHERE download = 0").fetchone()
    assert row is not None
    return int(row[0])


def accuracies(corpus: Corpus) -> list[float]:
    """Return how often each classifier, with the newest vectorizer as dl_manager takes it, is right on voted texts."""
    with psycopg.connect() as connection:
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
    predictor = Listener()
    predictor.start()
    assert predictor.is_subscribed.wait(DEADLINE_S)
    fill_tables(corpus, with_init_data=wanted.init_data)
    with connect_redis() as client:
        wait_until(lambda: client.pubsub_numsub("learner")[0][1], "the learner to listen", deadline_s=DEADLINE_S)
        client.publish("learner", "init")
        predictor.wait_for(1)
        wait_until(lambda: client.get("queryFlag") == "available", "texts to be handed out", deadline_s=DEADLINE_S)

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
