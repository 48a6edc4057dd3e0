"""The life of a project's classifiers.

Here live: the project state, the decision what is due, the run in its steps, the gate, announcements, and how a project
stands. `run_steps` is the one place where training, announcing, scoring and choosing are put in order. `decide` is pure:
what it imports does not know SQLAlchemy. No SQL stands here; that is `storage`.
"""
