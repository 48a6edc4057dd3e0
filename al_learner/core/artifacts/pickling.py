"""Pickles that their readers can load. Only pickles that al_learner recorded are loaded back."""

from __future__ import annotations

import hashlib
import io
import json
import math
import pickle
import sys
import zlib
from collections.abc import Collection, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from al_learner.core.artifacts import signatures
from al_learner.core.errors import ArtifactError, UntrustedError
from al_learner.core.registry import canonical

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

PROTOCOL = 4
"""Every Python that the neighbouring services may run can read it."""

SAVED = 0.25
"""PostgreSQL stores a value compressed only if it gets smaller by this share."""

PIECES, PIECE_BYTES = 16, 4096
"""How many pieces of a pickle, of which size, are compressed to see by which share all of it would get smaller."""

NOISE = hashlib.shake_256(b"al_learner").digest(1024)

INCOMPRESSIBLE = b"".join(
    (pickle.PROTO, bytes([PROTOCOL]), pickle.BINBYTES, len(NOISE).to_bytes(4, "little"), NOISE, pickle.POP)
)
"""The start of a pickle that PostgreSQL stores as it is: an object that readers drop at once.

Its own compression takes about 20 ms for a megabyte. It gives up if the first kilobyte does not get smaller. A
classifier's coefficients do not, as a whole, but a few of the first bytes do.
"""


def dump(artifact: object, packages: Collection[str], *, max_mib: float = math.inf) -> bytes:
    """Pickle an artifact, and check that a reader with no other packages than `packages` can load it.

    Parameters
    ----------
    max_mib : float
        Largest size of the pickle, in MiB. Pickling ends as soon as it is exceeded.

    Raises
    ------
    ArtifactError
        It cannot be pickled, it is too large, or it needs code of another package.
    """
    file = _LimitedFile(max_mib)
    try:
        pickle.Pickler(file, protocol=PROTOCOL).dump(artifact)
    except ArtifactError:
        raise
    except Exception as exc:  # whatever __reduce__ of a third party raises
        raise ArtifactError(f"{type(artifact).__name__} cannot be pickled: {type(exc).__name__}: {exc}") from exc
    blob = file.getvalue()
    reader = _Reader(blob, {canonical(package) for package in packages})
    try:
        reader.load()
    except ArtifactError:
        raise
    except Exception as exc:  # whatever __setstate__ of a third party raises
        raise ArtifactError(
            f"{type(artifact).__name__} was pickled but cannot be loaded again: {type(exc).__name__}: {exc}"
        ) from exc
    fits = len(INCOMPRESSIBLE) + len(blob) <= max_mib * 2**20
    return INCOMPRESSIBLE + blob if fits and not _is_worth_compressing(blob) else blob


def _is_worth_compressing(blob: bytes) -> bool:
    """Whether PostgreSQL would store a pickle compressed, or has little to try.

    Where even a stronger compression saves too little, PostgreSQL's does.
    """
    if len(blob) <= PIECES * PIECE_BYTES:
        return True
    pieces = b"".join(blob[start : start + PIECE_BYTES] for start in range(0, len(blob), len(blob) // PIECES))
    return len(zlib.compress(pieces, 1)) <= (1 - SAVED) * len(pieces)


def load(blob: bytes, digest: str | None) -> Any:
    """Unpickle what al_learner stored.

    Parameters
    ----------
    blob : bytes
    digest : str or None
        Its recorded SHA-256; None if it is not recorded.

    Raises
    ------
    UntrustedError
        It was not stored by al_learner, was changed later, or the installed packages cannot read it.
    """
    check(blob, digest)
    try:
        return pickle.loads(blob)  # noqa: S301 - its digest was compared above
    except Exception as exc:  # written under other versions of the packages
        raise UntrustedError(f"the installed packages cannot read it: {type(exc).__name__}: {exc}") from exc


def check(blob: bytes, digest: str | None) -> None:
    """Check that a blob is the recorded one; raises UntrustedError like `load`."""
    if digest is None:
        raise UntrustedError("al_learner did not store it: al_runs does not know it")
    if not signatures.is_same(sha256(blob), digest):
        raise UntrustedError("it was changed after it was stored: its SHA-256 is not the recorded one")


def sha256(blob: bytes) -> str:
    """Return a blob's SHA-256, in hexadecimal."""
    return hashlib.sha256(blob).hexdigest()


def versions(packages: Collection[str]) -> dict[str, str]:
    """Return the installed versions of distributions, and of Python."""
    return {"python": ".".join(map(str, sys.version_info[:3]))} | {name: _version(name) for name in sorted(packages)}


@cache
def _version(package: str) -> str:
    return version(package)  # which reads a file each time


class _LimitedFile(io.BytesIO):
    """Raises ArtifactError when more than `max_mib` would be written."""

    def __init__(self, max_mib: float) -> None:
        super().__init__()
        self._max_mib = max_mib

    def write(self, data: Buffer, /) -> int:
        if self.tell() + memoryview(data).nbytes > self._max_mib * 2**20:
            raise ArtifactError(
                f"its pickle is larger than AL_LEARNER_MAX_ARTIFACT_MIB = {self._max_mib:g}: choose a vectorizer with "
                "fewer features or a smaller classifier, exclude labels, or raise the limit, to at most 511 (docs: "
                "how-to/limit-growth)"
            )
        return super().write(data)


class _Reader(pickle.Unpickler):
    def __init__(self, blob: bytes, packages: Collection[str]) -> None:
        super().__init__(io.BytesIO(blob))
        self._packages = packages

    def find_class(self, module: str, name: str) -> Any:
        top = module.partition(".")[0]
        if top not in sys.stdlib_module_names and not any(top in _modules(package) for package in self._packages):
            owners = _distributions().get(top) or frozenset({canonical(top)})
            if owners.isdisjoint(self._packages) and not any(_is_editable(top, package) for package in self._packages):
                raise ArtifactError(
                    f"it contains {module}.{name} from {' or '.join(sorted(owners))}, but the "
                    f"programs that read it have only {', '.join(sorted(self._packages))}: return plain "
                    "scikit-learn objects, or name the package in `requires` and in AL_LEARNER_PREDICTOR_PACKAGES"
                )
        return super().find_class(module, name)


@cache
def _modules(package: str) -> frozenset[str]:
    """Return a distribution's top-level names from its list of files: faster than to list all distributions."""
    try:
        record = distribution(package).read_text("RECORD") or ""
    except PackageNotFoundError:
        record = ""
    return frozenset(line.partition("/")[0] for line in record.splitlines())


@cache
def _is_editable(top: str, package: str) -> bool:
    """Whether a module is in the folder of an editable install, whose distribution lists no modules."""
    try:
        installed: dict[str, Any] = json.loads(distribution(package).read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        return False
    spec = find_spec(top)
    if not installed.get("dir_info", {}).get("editable") or spec is None or spec.origin is None:
        return False
    return Path(spec.origin).is_relative_to(url2pathname(urlsplit(installed["url"]).path))


@cache
def _distributions() -> Mapping[str, frozenset[str]]:
    return {top: frozenset(map(canonical, names)) for top, names in packages_distributions().items()}
