"""Give the project an id, and record which models have signatures without it."""

import uuid

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    columns = (
        sa.Column("project_id", sa.Text, primary_key=True),
        sa.Column("signed_v1", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
    )
    op.create_table("al_project", *columns, if_not_exists=True)
    project, connection = sa.table("al_project", *(sa.column(c.name, c.type) for c in columns)), op.get_bind()
    if connection.execute(sa.select(project)).first() is not None:  # migrated again, because al_runs was dropped
        return
    runs = sa.table("al_runs", *map(sa.column, ("clf_id", "countvec_id", "signature")))
    signed = connection.execute(sa.select(runs).where(runs.c.signature.not_like("v2:%")))
    values = {"project_id": str(uuid.uuid4()), "signed_v1": [list(row) for row in signed]}
    connection.execute(project.insert(), values)


def downgrade() -> None:
    op.drop_table("al_project")
