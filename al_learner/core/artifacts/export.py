"""A stored model as one file for scikit-learn, and a signed sidecar that describes it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from al_learner.core.artifacts import pickling, signatures
from al_learner.core.errors import DataError
from al_learner.core.storage.records import METRIC_DETAILS, StoredModel


def export(model: StoredModel, file: Path, *, key: str | None, force: bool = False) -> Path:
    """Write a model as one pickled scikit-learn Pipeline from texts to labels. Return the path of the sidecar.

    Each file is replaced atomically.

    Parameters
    ----------
    model : StoredModel
    file : Path
        The sidecar has the same name, with ``.json`` at the end.
    key : str or None
        Signs the sidecar.
    force : bool
        Overwrite existing files.

    Raises
    ------
    DataError
        A file exists already, or cannot be written.
    UntrustedError
        The installed packages cannot read the model.
    """
    from sklearn.pipeline import Pipeline  # heavy

    sidecar = file.with_name(f"{file.name}.json")
    if (there := [path for path in (file, sidecar) if path.exists()]) and not force:
        raise DataError(f"{there[0]} exists already; --force overwrites it")
    transformer = pickling.load(model.countvec, model.run.countvec_sha256)
    classifier = pickling.load(model.clf, model.run.clf_sha256)
    pipeline = Pipeline([("vectorizer", transformer), *classifier.steps])
    packages = {*(model.run.versions or {})} - {"python"}
    blob = pickling.dump(pipeline, packages)
    described = _described(model, file.name, pickling.sha256(blob), classifier.classes_.tolist())
    signature = None if key is None else signatures.signed(key, canonical(described))
    text = json.dumps(described | {"signature": signature}, indent=2, ensure_ascii=False) + "\n"
    try:
        _replace(file, blob)
        _replace(sidecar, text.encode())
    except OSError as exc:
        raise DataError(f"{file}: cannot be written: {exc.strerror}") from exc
    return sidecar


def canonical(described: Mapping[str, Any]) -> str:
    """Return the signed text: a sidecar without its signature, as JSON with sorted keys and without blanks."""
    return json.dumps(described, sort_keys=True, separators=(",", ":"))


def _described(model: StoredModel, name: str, sha256: str, labels: list[str]) -> dict[str, Any]:
    run = model.run
    return {
        "file": name,
        "sha256": sha256,
        "clf_id": run.clf_id,
        "trained": run.finished.isoformat() if run.finished else None,
        "texts": run.texts,
        "labels": labels,
        "strategies": {kind: run.strategies[kind] for kind in ("classifier", "vectorizer")},
        "versions": run.versions,
        "metrics": {name: value for name, value in (run.metrics or {}).items() if name not in METRIC_DETAILS},
    }


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
