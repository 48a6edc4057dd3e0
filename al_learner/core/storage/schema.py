"""The tables, for SQLAlchemy Core: LabelForward's, and ours, which begin with `al_`.

LabelForward's tables belong to its services; their names and types are fixed. al_learner creates them only when it
loads data into an empty database, and never changes their columns. SQLite has no arrays, so it stores JSON.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from al_learner.core.storage.records import MAX_LABEL_LENGTH, RunStatus

labelforward = sa.MetaData()
ours = sa.MetaData()

TextArray = sa.ARRAY(sa.Text).with_variant(sa.JSON(none_as_null=True), "sqlite")
Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class _UtcTimestamp(sa.types.TypeDecorator[datetime]):
    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy gives it
        """Say on SQLite, which keeps no time zone, that its CURRENT_TIMESTAMP is UTC."""
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


Timestamp = _UtcTimestamp()


class _Status(sa.types.TypeDecorator[RunStatus]):
    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy gives it
        """Return the status as plain text: psycopg would store the name of the member."""
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> RunStatus | None:  # noqa: ARG002 - SQLAlchemy gives it
        """Return the member of `RunStatus`."""
        return None if value is None else RunStatus(value)


text_data = sa.Table(
    "text_data",
    labelforward,
    sa.Column("text_id", sa.Integer, primary_key=True),
    sa.Column("text_data", sa.Text, nullable=False),
    sa.Column("labeled", sa.Boolean, nullable=False),  # theirs; not read here
    sa.Column("selected", sa.Boolean, nullable=False),  # theirs; not read here
    sa.Column(
        "taught", sa.Boolean, nullable=False
    ),  # whether the last classifier was trained on this major_label; written here
    sa.Column("labels", TextArray),  # the votes, in voting order; the API appends
    sa.Column("users", TextArray),  # who gave labels[i]; the API appends
    sa.Column("major_label", sa.String(MAX_LABEL_LENGTH)),  # the aggregated label; written here
    sa.Column(
        "uncertainty", sa.Float
    ),  # the highest class probability of the predictor: despite its name, a high number means certain
    sa.Column("predicted_label", sa.Text),  # the predictor's
)

labels = sa.Table(
    "labels",
    labelforward,
    sa.Column("label_id", sa.Integer, primary_key=True),
    sa.Column("label", sa.Text, nullable=False),
)

init_data = sa.Table(
    "init_data",
    labelforward,
    sa.Column("init_id", sa.Integer, primary_key=True),
    sa.Column("text_data", sa.Text, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
)

classifiers = sa.Table(
    "classifiers",
    labelforward,
    sa.Column("clf_id", sa.Integer, primary_key=True),
    sa.Column("clf", sa.LargeBinary, nullable=False),  # a pickled pipeline; the predictor reads the newest
    sa.Column("precision_score", sa.Float),  # micro-averaged, on the hold-out set; NULL until scored; the app shows it
    sa.Column("created_at", Timestamp, server_default=sa.func.now()),
    sa.Column("download", sa.Integer, nullable=False),  # theirs; 0: no download asked for
)

countvecs = sa.Table(
    "countvecs",
    labelforward,
    sa.Column("countvec_id", sa.Integer, primary_key=True),
    sa.Column(
        "countvec", sa.LargeBinary, nullable=False
    ),  # a pickled vectorizer; every service reads the newest, also for older classifiers
)

al_project = sa.Table(
    "al_project",
    ours,
    sa.Column("project_id", sa.Text, primary_key=True),  # a random UUID; every signature covers it
    sa.Column(
        "signed_v1", Json, nullable=False
    ),  # [clf_id, countvec_id, signature] of each run that had a signature of version 1 when this table was created
)

al_workers = sa.Table(
    "al_workers",
    ours,
    sa.Column("worker_id", sa.Integer, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),  # host:pid
    sa.Column(
        "started", Timestamp, nullable=False
    ),  # by the database's clock; of workers with different settings the latest works
    sa.Column("settings", Json, nullable=False),  # those that decide what is trained
)

al_labels = sa.Table(
    "al_labels",
    ours,
    sa.Column("label", sa.Text, primary_key=True),  # as in table labels
    sa.Column("description", sa.Text, nullable=False),  # what it means, in a few words; the cold start reads it
)

al_external_ids = sa.Table(
    "al_external_ids",
    ours,
    sa.Column("text_id", sa.Integer, primary_key=True, autoincrement=False),  # as in table text_data
    sa.Column("external_id", sa.Text, nullable=False, unique=True),  # what the text is called where it came from
)

al_priors = sa.Table(
    "al_priors",
    ours,
    sa.Column("prior_id", sa.Integer, primary_key=True),
    sa.Column("made_for", sa.Text, nullable=False),  # digest of labels, descriptions, vectorizer and init sampler
    sa.Column("texts", Json, nullable=False),  # [text_id, digest of the text, label] of each text
)

al_runs = sa.Table(
    "al_runs",
    ours,
    sa.Column("run_id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),  # init, update, or promote
    sa.Column("status", _Status, nullable=False),  # see RunStatus
    sa.Column("forced", sa.Boolean, nullable=False),  # whether a person asked for it by hand
    sa.Column("owner", sa.Text, nullable=False),  # host:pid of who runs it
    sa.Column("state", sa.Text, nullable=False),  # digest of votes, data and settings when the run started
    sa.Column("error", sa.Text),  # why it failed, died or was abandoned
    sa.Column("started", Timestamp, nullable=False, server_default=sa.func.now()),
    sa.Column("finished", Timestamp),  # when the classifier was committed, or the run given up
    sa.Column("announced", Timestamp),  # when a subscriber received `update`, or had predicted with this model
    sa.Column("clf_id", sa.Integer),  # the classifier that it stored
    sa.Column("countvec_id", sa.Integer),  # the vectorizer that goes with it
    sa.Column("new_samples", sa.Integer, nullable=False),  # new samples that it trained on
    sa.Column("texts", sa.Integer),  # rows trained on
    sa.Column("classes", sa.Integer),  # classes trained on
    sa.Column("strategies", Json, nullable=False),  # kind -> {name, params}
    sa.Column("versions", Json),  # distribution -> version, of those that wrote the artifacts
    sa.Column("clf_sha256", sa.Text),  # digests of the stored model
    sa.Column("countvec_sha256", sa.Text),
    sa.Column("signature", sa.Text),  # HMAC-SHA256 over project_id, both ids and both digests; NULL without a key
    sa.Column("seconds", sa.Float),  # from the start until the classifier was committed; NULL for a promotion
    sa.Column("metrics", Json),  # the score; NULL until scored
    sa.Column("choice", Json),  # which candidate the next run trains, and why; NULL: no choice was made
    sa.Column("defaults", Json),  # kind -> {name, params}: what is used where no setting says otherwise
    sa.Column("prior", Json),  # prior_id, weight and number of its texts that were trained on; NULL: there was none
    sa.Index("al_runs_clf_id", "clf_id"),
)
