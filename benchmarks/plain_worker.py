"""The simplest possible worker. Other workers are compared with it.

It reads everything with pandas, writes row by row, and fits vectorizer and classifier from scratch at each update. It
uses the same tables and channels as al_learner, and does not import it.
"""

from __future__ import annotations

import os
import pickle
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd
import redis
import sqlalchemy as sa
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

BATCH_SIZE = int(os.environ.get("BATCH_SIZE", "10"))


def main() -> None:
    """Answer every message on learner with a new classifier, and an `update` on predictor."""
    engine = sa.create_engine("postgresql+psycopg://")
    channels = redis.Redis(
        host=os.environ["REDIS_HOST"], port=int(os.environ.get("REDIS_PORT", "6379")), decode_responses=True
    )
    subscription = channels.pubsub()  # type: ignore[no-untyped-call]  # redis leaves it untyped
    subscription.subscribe("learner")
    for message in subscription.listen():
        if message["type"] != "message":
            continue
        if message["data"] == "init":
            init(engine)
        else:
            update(engine)
        channels.publish("predictor", "update")


def init(engine: sa.Engine) -> None:
    """Train on random texts with random labels."""
    texts = pd.read_sql("SELECT text_id, text_data FROM text_data", engine)
    names = pd.read_sql("SELECT DISTINCT label FROM labels", engine)["label"].tolist()
    chosen = texts.sample(BATCH_SIZE)
    labels = random.sample(names, 2) + random.choices(names, k=BATCH_SIZE - 2)
    train(engine, texts["text_data"], chosen["text_data"], labels)


def update(engine: sa.Engine) -> None:
    """Compute the label of every text with votes, write all labels, and train on them."""
    texts = pd.read_sql("SELECT text_id, text_data, labels FROM text_data", engine)
    labelled = texts[texts["labels"].str.len() > 0].copy()
    labelled["major_label"] = labelled["labels"].map(majority)
    with engine.begin() as connection:
        for row in labelled.itertuples():
            connection.execute(
                sa.text("UPDATE text_data SET major_label = :label, taught = true WHERE text_id = :text_id"),
                {"label": row.major_label, "text_id": row.text_id},
            )
    train(engine, texts["text_data"], labelled["text_data"], labelled["major_label"])


def majority(votes: Sequence[str]) -> str:
    """Return the most frequent vote."""
    return Counter(votes).most_common(1)[0][0]


def train(engine: sa.Engine, corpus: Any, texts: Any, labels: Any) -> None:
    """Fit a vectorizer on the corpus and a classifier on the labelled texts, and store both."""
    vectorizer = CountVectorizer().fit(corpus)
    classifier = LogisticRegression(max_iter=100_000).fit(vectorizer.transform(texts), labels)
    with engine.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO countvecs (countvec) VALUES (:blob)"), {"blob": pickle.dumps(vectorizer)}
        )
        connection.execute(
            sa.text("INSERT INTO classifiers (clf, download) VALUES (:blob, 0)"), {"blob": pickle.dumps(classifier)}
        )


if __name__ == "__main__":
    main()
