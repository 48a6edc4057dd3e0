"""Interpreters with some of our packages, in our versions, without a download: the neighbours' and the worker's."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

NEIGHBOURS = ("pandas", "scikit-learn", "numpy", "scipy", "lightgbm", "psycopg[binary]", "redis")
"""What the neighbours' images have: the services' own needs, and what reads our artifacts."""

WORKER = ("al-learner[meaning,metrics]",)
"""What a worker's image has. Without pandas, which scikit-learn loads where it is, a training process starts sooner."""


def make(folder: Path, packages: Iterable[str] = NEIGHBOURS) -> Path:
    """Make a virtual environment with links to packages of this one and to what they need. Return its Python."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    for found in _closure(packages):
        tops = {path.parts[0] for path in found.files or () if path.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            link = site_packages / top
            if not link.exists():
                link.symlink_to(Path(str(found.locate_file(top))))
    python = folder / "bin" / "python"
    assert _can_import(python, "al_learner") == (packages == WORKER), "the neighbours must not have al_learner"
    return python


def _can_import(python: Path, module: str) -> bool:
    return subprocess.run([python, "-I", "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def _closure(packages: Iterable[str]) -> list[Distribution]:
    """Return the distributions of these requirements and of all that they require."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(package) for package in packages]
    seen: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        if str(wanted) in seen:
            continue
        seen.add(str(wanted))
        needed = found.setdefault(wanted.name.lower(), distribution(wanted.name))
        environments = [{"extra": extra} for extra in ["", *wanted.extras]]
        requirements = map(Requirement, needed.requires or ())
        waiting += [r for r in requirements if r.marker is None or any(map(r.marker.evaluate, environments))]
    return list(found.values())
