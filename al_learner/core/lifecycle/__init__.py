"""The life of a project's classifiers.

Here live: the project state, the decision what is due, the steps of a run, the quality gate, announcements, and the
status of a project. `run_steps` is the one place where training, announcing, scoring and choosing are put in order.
`decide` is pure: nothing that it imports knows SQLAlchemy. No SQL stands here; that is `storage`.
"""
