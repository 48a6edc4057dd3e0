"""Every error that al_learner raises on purpose.

::

    AlLearnerError
    ├── SettingsError              settings, plug-in names and parameters; all problems at once
    ├── PluginError                a plug-in cannot be loaded, raised, or returned a wrong object
    │   └── ArtifactError          what it returned is too large, or the other services cannot read it
    ├── DataError                  a file, or texts and labels, cannot be used as they are
    ├── SchemaError                a table or a column is missing
    │   └── MigrationError         ... in al_runs, and this user may not change it
    ├── UntrustedError             a stored classifier or vectorizer is not from al_learner, or was changed
    ├── TrainerError               a child process died, was killed, or took too long
    ├── ClusterError               a Dask cluster sent something wrong, or has other versions of packages
    │   └── ClusterUnavailable     ... cannot be reached, or has no workers; it may answer later
    ├── BusyError                  another run holds the lock
    ├── DatabaseError              the database refused or failed
    │   └── DatabaseUnavailable    ... and may answer later
    └── ChannelError               Redis refused, failed or did not answer

Errors of libraries are raised as one of these, ``from`` the original. `PluginWarning` is a warning of `check_plugin`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class AlLearnerError(Exception):
    """Base class of every error that al_learner raises on purpose."""


class SettingsError(AlLearnerError):
    """Settings, plug-in names or plug-in parameters are wrong.

    Attributes
    ----------
    problems : tuple of str
        One sentence for each problem: the setting, the value, what is allowed.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class PluginError(AlLearnerError):
    """A plug-in cannot be loaded, raised, or returned something of the wrong kind."""


class PluginWarning(UserWarning):
    """A plug-in keeps the promises of its interface, but al_learner can do less with it than with others."""


class ArtifactError(PluginError):
    """An artifact is too large, or needs code that its readers do not have."""


class DataError(AlLearnerError, ValueError):
    """A file, or texts and labels, cannot be used as they are."""


class SchemaError(AlLearnerError):
    """A table or a column is missing."""


class MigrationError(SchemaError):
    """al_runs is not what this version needs, and this user may not change it."""


class UntrustedError(AlLearnerError):
    """A stored classifier or vectorizer was not stored by al_learner, or was changed later."""


class TrainerError(AlLearnerError):
    """A process that trains, scores or aggregates died, was killed, or took longer than allowed."""


class ClusterError(AlLearnerError):
    """A Dask cluster sent something wrong, or has other versions of packages."""


class ClusterUnavailable(ClusterError):
    """The Dask cluster cannot be reached, has no workers, or lost a job. It may do it later."""


class BusyError(AlLearnerError):
    """Another run holds this database's lock."""


class DatabaseError(AlLearnerError):
    """The database refused a statement or failed.

    Attributes
    ----------
    sqlstate : str
        PostgreSQL's error code; empty if there is none.
    """

    sqlstate = ""


class DatabaseUnavailable(DatabaseError):
    """The database cannot be reached, or the connection broke. It may answer later."""


class ChannelError(AlLearnerError):
    """Redis refused, failed or did not answer."""


def did_you_mean(value: str, names: Iterable[str]) -> str:
    """Return a question for an error, after the name that is nearest to a wrong one; nothing if none is near."""
    folded = {name.lower(): name for name in names}
    near = difflib.get_close_matches(value.lower(), folded, n=1, cutoff=0.6)
    return f" (did you mean {folded[near[0]]!r}?)" if near else ""
