"""Alembic's folder: how al_runs came to be what it is. LabelForward's tables are never migrated."""
