"""Child processes.

Here live: how they are started, given tasks, limited, and killed. What a process computes belongs to `training`,
`labels` or `simulation`. Nothing here knows texts, labels or models.
"""
