"""Which versions must be the same in al_learner's worker and in the Dask workers."""

from __future__ import annotations

import platform
from collections.abc import Mapping

from al_learner.core.artifacts import pickling

PACKAGES = frozenset({"al-learner", "scikit-learn", "numpy", "scipy", "msgspec"})


def versions() -> dict[str, str]:
    """Return the versions here: of Python, without its last number, and of packages."""
    return {**pickling.versions(PACKAGES), "python": ".".join(platform.python_version_tuple()[:2])}


def difference(theirs: Mapping[str, str]) -> str:
    """Return in words what is different here; empty if nothing is."""
    here = versions()
    return ", ".join(
        f"has {name} {here.get(name)}, not {version}" for name, version in theirs.items() if here.get(name) != version
    )
