"""Record descriptions of labels, default strategies, and priors."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    json = sa.JSON().with_variant(JSONB(), "postgresql")
    op.create_table(
        "al_labels",
        sa.Column("label", sa.Text, primary_key=True),
        sa.Column("description", sa.Text, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "al_priors",
        sa.Column("prior_id", sa.Integer, primary_key=True),
        sa.Column("made_for", sa.Text, nullable=False),
        sa.Column("texts", json, nullable=False),
        if_not_exists=True,
    )
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("al_runs")}
    for name in ("defaults", "prior"):
        if name not in there:  # migrated again, because another table was dropped
            op.add_column("al_runs", sa.Column(name, json))


def downgrade() -> None:
    for name in ("defaults", "prior"):
        op.drop_column("al_runs", name)
    op.drop_table("al_priors")
    op.drop_table("al_labels")
