"""Run by Alembic: migrates al_runs over the connection that `upgrade_runs` hands in."""

from alembic import context

from al_learner.core.storage.migrations.upgrade import al_learner_version
from al_learner.core.storage.schema import ours

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=ours,
    version_table=al_learner_version.name,
    include_object=lambda _object, name, kind, _reflected, _compare_to: kind != "table" or name in ours.tables,
)
context.run_migrations()
