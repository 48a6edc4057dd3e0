"""``python -m benchmarks.meaning``: what columns of meaning cost: the first fit, and the predictor's own process."""

from __future__ import annotations

import argparse
import json
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from al_learner import strategy
from al_learner.core.artifacts.pickling import dump
from al_learner.core.training.fitting import fit_classifier, fit_vectorizer, transform
from benchmarks import corpus as corpora
from benchmarks import report
from benchmarks.common import end_tidily, say

PREDICTOR = """
import json, pickle, sys, time
folder = sys.argv[1]
vectorizer, classifier, texts = (pickle.load(open(f"{folder}/{name}", "rb")) for name in ("countvec", "clf", "texts"))
started = time.perf_counter()
X = vectorizer.transform(texts)
transformed = time.perf_counter()
classifier.predict_proba(X)
ended = time.perf_counter()
(peak,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"transform_s": transformed - started, "predict_s": ended - transformed, "mib": int(peak) / 1024}))
"""
"""The predictor's steps, in an interpreter that loads nothing else. The high-water mark of its memory is the kernel's;
that of getrusage would contain the memory of the process that started it."""


def main() -> None:
    """Measure, print the table and write the JSON file."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.meaning", description=__doc__)
    options.add_argument("--data", type=Path, default=corpora.DEMO, help="JSON lines (.gz) with text and label")
    options.add_argument("--texts", type=int, help="number of texts to use, chosen at random; default: all")
    options.add_argument("--labels", type=int, default=5_000, help="labelled texts of the classifier")
    options.add_argument("--classifier", default="logreg")
    options.add_argument(
        "--vectorizers",
        type=lambda value: value.split(","),
        default=("tfidf", "lsa", "words-and-meaning"),
        help="the first one is what the others are compared with",
    )
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--json", type=Path, help="default: benchmarks/results/meaning.json")
    chosen = options.parse_args()
    end_tidily()
    corpus = corpora.read(chosen.data, limit=chosen.texts, seed=chosen.seed)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in chosen.vectorizers}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(chosen.repeat):
            for name in chosen.vectorizers:  # in turn, so that changes of the machine affect all of them
                found[name].append(measured(corpus, name, chosen.classifier, chosen.labels, Path(folder)))
                say(f"{name}: {json.dumps(found[name][-1])}")
    print(f"\n{corpus.name}: {len(corpus):,} texts, {chosen.labels:,} labels, {chosen.classifier}\n")
    print(table(found))
    say(f"raw figures: {report.write('meaning', chosen.json, {'corpus': corpus.name, 'found': found})}")


def measured(corpus: corpora.Corpus, name: str, classifier: str, n_labels: int, folder: Path) -> dict[str, float]:
    """Fit vectorizer and classifier, store both, and let a new process predict all texts."""
    vectorizer: Any = strategy("vectorizer", name)
    model: Any = strategy("classifier", classifier)
    started = time.perf_counter()
    transformer = fit_vectorizer(vectorizer, iter(corpus.texts))
    vectorizer_s = time.perf_counter() - started
    X, y = transform(transformer, corpus.texts[:n_labels]), np.array(corpus.labels[:n_labels])
    started = time.perf_counter()
    pipeline = fit_classifier(model, X, y, groups=vectorizer.groups(X.shape[1]))
    classifier_s = time.perf_counter() - started
    stored = dump(transformer, vectorizer.requires)
    (folder / "countvec").write_bytes(stored)
    (folder / "clf").write_bytes(dump(pipeline, model.requires))
    (folder / "texts").write_bytes(pickle.dumps(corpus.texts))
    command = [sys.executable, "-I", "-c", PREDICTOR, str(folder)]
    predicted = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return {"vectorizer_s": vectorizer_s, "classifier_s": classifier_s, "stored_mb": len(stored) / 1e6, **predicted}


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """Return the medians as Markdown, and what the first vectorizer's predictor needs as the unit."""
    rows: list[list[str]] = []
    unit: dict[str, float] = {}
    for name, runs in found.items():
        median = {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}
        unit = unit or median
        ratio = (median["transform_s"] + median["predict_s"]) / (unit["transform_s"] + unit["predict_s"])
        figures = [f"{median[key]:.2f}" for key in ("vectorizer_s", "classifier_s", "transform_s", "predict_s")]
        memory = [f"{median['mib']:.0f}", f"{median['mib'] - unit['mib']:+.0f}"]
        rows.append([name, *figures[:2], f"{median['stored_mb']:.1f}", *figures[2:], f"{ratio:.2f}x", *memory])
    header = ["vectorizer", "fit, s", "classifier, s", "stored, MB", "transform, s", "predict_proba, s", "both, ratio"]
    return report.markdown([*header, "predictor, MiB", "more, MiB"], rows)


if __name__ == "__main__":
    main()
