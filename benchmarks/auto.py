"""Measures how well classifier `auto` selects: the accuracy of `auto` and of its candidates, and the seconds it takes.

``python -m benchmarks.auto --data FILE`` prints the tables. With ``--keep FILE`` it continues where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from al_learner import strategy
from al_learner.core.registry import candidates
from al_learner.core.training.candidate_selection import CandidateSelector, candidate_losses
from al_learner.core.training.fitting import fit_classifier, fit_vectorizer, transform
from benchmarks.common import numbers, say
from benchmarks.corpus import read

HELD_OUT = 5_000
"""Texts that are never labelled, on which accuracy is measured."""

PREDICTORS = {"all": None, "without lightgbm": ("scikit-learn", "numpy", "scipy")}
"""The packages of the predictor. They decide which candidates there are."""

Rows = NDArray[np.intp]
Outcome = dict[str, Any]
Groups = Mapping[str, slice]


def main() -> None:
    """Measure everything that is not in the file of `--keep` yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="JSON lines with text and label, 10,000 or more")
    parser.add_argument("--vectorizer", default="tfidf", help="plug-in that turns texts into features")
    parser.add_argument("--labels", type=numbers, default=(50, 200, 1000, 5000), help="how many texts are labelled")
    parser.add_argument(
        "--seeds", type=numbers, default=(0, 1, 2, 3, 4), help="seeds that decide which texts are labelled"
    )
    parser.add_argument(
        "--by", choices=("random", "uncertainty"), default="random", help="how the labelled texts are picked"
    )
    parser.add_argument("--keep", type=Path, help="JSON lines with the finished measurements")
    arguments = parser.parse_args()
    done = [json.loads(line) for line in arguments.keep.open()] if arguments.keep and arguments.keep.exists() else []
    how = {"by": arguments.by, "vectorizer": arguments.vectorizer}
    X, y, groups = features(arguments.data, arguments.vectorizer)
    for seed in arguments.seeds:
        measured_already = {outcome["labels"] for outcome in done if {**how, "seed": seed}.items() <= outcome.items()}
        missing = [n for n in arguments.labels if n not in measured_already]
        pool = np.random.default_rng(seed).permutation(len(y))
        picked = labelled(X, y, pool[HELD_OUT:], missing, by=arguments.by) if missing else {}
        for n, rows in picked.items():
            outcome = {**how, "labels": n, "seed": seed, **measured(X, y, rows, pool[:HELD_OUT], groups)}
            done.append(outcome)
            say(json.dumps(outcome))
            if arguments.keep:
                with arguments.keep.open("a") as kept:
                    kept.write(json.dumps(outcome) + "\n")
    for predictor in PREDICTORS:
        shown = [outcome for outcome in done if how.items() <= outcome.items()]
        print(table(shown, predictor, groups), end="\n\n")


def features(data: Path, name: str) -> tuple[csr_matrix, NDArray[np.str_], Groups]:
    """Return features and labels of a corpus, and the vectorizer's groups of columns."""
    corpus = read(data, limit=None, seed=0)
    vectorizer: Any = strategy("vectorizer", name)
    X = transform(fit_vectorizer(vectorizer, corpus.texts), corpus.texts)
    return X, np.array(corpus.labels), vectorizer.groups(X.shape[1])


def labelled(X: csr_matrix, y: NDArray[np.str_], pool: Rows, sizes: list[int], *, by: str) -> dict[int, Rows]:
    """Return the rows that are labelled, for each size: random ones, or after 50 those that logreg is least sure of."""
    if by == "random":
        return {n: pool[:n] for n in sizes}
    found, rows = {}, pool[:50]
    while True:
        if len(rows) in sizes:
            found[len(rows)] = rows
        if len(rows) >= max(sizes):
            return found
        wanted = min([n for n in sizes if n > len(rows)] + [len(rows) * 3 // 2])
        rest = np.setdiff1d(pool, rows)
        classifier: Any = strategy("classifier", "logreg")
        top = fit_classifier(classifier, X[rows], y[rows]).predict_proba(X[rest]).max(axis=1)
        rows = np.concatenate([rows, rest[np.argsort(top, kind="stable")[: wanted - len(rows)]]])


def measured(X: csr_matrix, y: NDArray[np.str_], rows: Rows, held_out: Rows, groups: Groups) -> Outcome:
    """Train and measure every candidate, select one for each predictor, and measure the seconds of both."""
    model_selector: Any = strategy("classifier", "auto")
    made = candidates(model_selector, groups=groups)
    accuracy, losses, fit_s, losses_s = {}, {}, {}, {}
    for name, candidate in made.items():
        started = time.perf_counter()
        fit = partial(fit_classifier, candidate, groups=groups)
        model = fit(X[rows], y[rows])
        fit_s[name] = time.perf_counter() - started
        accuracy[name] = float((model.predict(X[held_out]) == y[held_out]).mean())
        started = time.perf_counter()
        losses[name] = candidate_losses(model_selector, fit, X[rows], y[rows])
        losses_s[name] = time.perf_counter() - started
    chosen = {}
    for predictor, packages in PREDICTORS.items():
        selector = CandidateSelector(model_selector, candidates(model_selector, packages=packages, groups=groups))
        due = selector.is_due(None, len(rows))
        choice = selector.select(None, len(rows), losses.__getitem__) if due else None
        chosen[predictor] = selector.selected(choice)
    return {"accuracy": accuracy, "chosen": chosen, "fit_s": fit_s, "losses_s": losses_s}


def table(outcomes: list[Outcome], predictor: str, groups: Groups) -> str:
    """Return the means over the seeds as Markdown, in points."""
    model_selector: Any = strategy("classifier", "auto")
    names = [*candidates(model_selector, packages=PREDICTORS[predictor], groups=groups)]
    columns = [*names, "auto", "behind the best", "behind each seed's best", "chosen", "choosing", "training"]
    lines = [
        f"Predictor: {predictor}; means over the seeds, accuracy in %, time in seconds",
        f"| labels | {' | '.join(columns)} |",
        f"|---:|{'---:|' * len(columns)}",
    ]
    for n in sorted({outcome["labels"] for outcome in outcomes}):
        of_n = [outcome for outcome in outcomes if outcome["labels"] == n]
        accuracy = np.array([[100 * outcome["accuracy"][name] for name in names] for outcome in of_n])
        winners = [outcome["chosen"][predictor] for outcome in of_n]
        auto = np.array([100 * outcome["accuracy"][winner] for outcome, winner in zip(of_n, winners, strict=True)])
        behind = accuracy.mean(axis=0).max() - auto.mean(), (accuracy.max(axis=1) - auto).mean()
        times = (
            np.mean([sum(outcome["losses_s"][name] for name in names) for outcome in of_n]),
            np.mean([outcome["fit_s"][winner] for outcome, winner in zip(of_n, winners, strict=True)]),
        )
        counted = ", ".join(f"{name} {winners.count(name)}" for name in names if name in winners)
        figures = [*accuracy.mean(axis=0), auto.mean(), *behind]
        cells = [*(f"{figure:.2f}" for figure in figures), counted, *(f"{seconds:.1f}" for seconds in times)]
        lines.append(f"| {n:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
