"""Child processes: how they are started, supervised and killed.

What they compute belongs to `training`, `labels` and `simulation`.
"""
