"""Keep the ids that texts have in other tools."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "al_external_ids",
        sa.Column("text_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("external_id", sa.Text, nullable=False, unique=True),
        if_not_exists=True,
    )


def downgrade() -> None:
    op.drop_table("al_external_ids")
