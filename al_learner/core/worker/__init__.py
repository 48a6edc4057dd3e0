"""The loop of a project, and the loops of many projects in one process.

Nothing here decides what is due; that is `lifecycle`. Nothing here handles signals; that is `al_learner.worker`.
"""
