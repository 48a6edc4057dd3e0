"""Make al_runs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_json = sa.JSON().with_variant(JSONB(), "postgresql")
_timestamp = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "al_runs",
        sa.Column("run_id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("forced", sa.Boolean, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("started", _timestamp, nullable=False, server_default=sa.func.now()),
        sa.Column("finished", _timestamp),
        sa.Column("announced", _timestamp),
        sa.Column("clf_id", sa.Integer),
        sa.Column("countvec_id", sa.Integer),
        sa.Column("new_samples", sa.Integer, nullable=False),
        sa.Column("texts", sa.Integer),
        sa.Column("classes", sa.Integer),
        sa.Column("strategies", _json, nullable=False),
        sa.Column("versions", _json),
        sa.Column("clf_sha256", sa.Text),
        sa.Column("countvec_sha256", sa.Text),
        sa.Column("signature", sa.Text),
        sa.Column("seconds", sa.Float),
        sa.Column("metrics", _json),
    )
    op.create_index("al_runs_clf_id", "al_runs", ["clf_id"])


def downgrade() -> None:
    op.drop_table("al_runs")
