"""Pickles that their readers can load, and only those that al_learner recorded are loaded back."""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
from collections.abc import Collection, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, version
from typing import Any

from al_learner.core.artifacts import signatures
from al_learner.core.errors import ArtifactError, UntrustedError
from al_learner.core.registry import canonical

PROTOCOL = 4
"""Read by every Python that a neighbour may run."""


def dump(artifact: object, packages: Collection[str]) -> bytes:
    """Pickle an artifact, having made sure that a reader with `packages` alone can load it.

    Raises
    ------
    ArtifactError
        It cannot be pickled, or names code of another package.
    """
    try:
        blob = pickle.dumps(artifact, protocol=PROTOCOL)
    except Exception as exc:  # whatever __reduce__ of a third party raises
        raise ArtifactError(f"{type(artifact).__name__} cannot be pickled: {type(exc).__name__}: {exc}") from exc
    reader = _Reader(blob, {canonical(package) for package in packages})
    try:
        reader.load()
    except ArtifactError:
        raise
    except Exception as exc:  # whatever __setstate__ of a third party raises
        raise ArtifactError(
            f"{type(artifact).__name__} was pickled but cannot be loaded again: {type(exc).__name__}: {exc}"
        ) from exc
    return blob


def load(blob: bytes, digest: str | None) -> Any:
    """Unpickle what we stored.

    Parameters
    ----------
    blob : bytes
    digest : str or None
        Its recorded SHA-256; None if no record of ours names it.

    Raises
    ------
    UntrustedError
        It was not stored by us, was changed since, or cannot be read by this interpreter's packages.
    """
    check(blob, digest)
    try:
        return pickle.loads(blob)  # noqa: S301 - it is ours, see above
    except Exception as exc:  # written under other versions of the packages
        raise UntrustedError(f"it cannot be read by the installed packages: {type(exc).__name__}: {exc}") from exc


def check(blob: bytes, digest: str | None) -> None:
    """Make sure that a blob is the one that was recorded; raises UntrustedError like `load`."""
    if digest is None:
        raise UntrustedError("it was not stored by al_learner: al_runs does not know it")
    if not signatures.is_same(sha256(blob), digest):
        raise UntrustedError("it was changed after al_learner stored it: its SHA-256 is not the recorded one")


def sha256(blob: bytes) -> str:
    """Return the digest under which a blob is recorded, in hexadecimal."""
    return hashlib.sha256(blob).hexdigest()


def versions(packages: Collection[str]) -> dict[str, str]:
    """Return the installed versions of distributions, and of Python."""
    return {"python": ".".join(map(str, sys.version_info[:3]))} | {name: version(name) for name in sorted(packages)}


class _Reader(pickle.Unpickler):
    def __init__(self, blob: bytes, packages: Collection[str]) -> None:
        super().__init__(io.BytesIO(blob))
        self._packages = packages

    def find_class(self, module: str, name: str) -> Any:
        top = module.partition(".")[0]
        if top not in sys.stdlib_module_names and not any(top in _modules(package) for package in self._packages):
            owners = _distributions().get(top) or frozenset({canonical(top)})  # an editable install lists no modules
            if owners.isdisjoint(self._packages):
                raise ArtifactError(
                    f"it holds a {module}.{name} of {' or '.join(sorted(owners))}, but those "
                    f"who read it have {', '.join(sorted(self._packages))} alone: return plain "
                    "scikit-learn objects, or name the package in `requires` and in AL_LEARNER_PREDICTOR_PACKAGES"
                )
        return super().find_class(module, name)


@cache
def _modules(package: str) -> frozenset[str]:
    """Return what a distribution's list of files begins with: a thousand times as fast as to ask for everyone's."""
    try:
        record = distribution(package).read_text("RECORD") or ""
    except PackageNotFoundError:
        record = ""
    return frozenset(line.partition("/")[0] for line in record.splitlines())


@cache
def _distributions() -> Mapping[str, frozenset[str]]:
    return {top: frozenset(map(canonical, names)) for top, names in packages_distributions().items()}
