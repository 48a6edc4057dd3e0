"""Simulates a project on a labelled corpus: a cold start, then rounds of votes on texts that a query strategy picks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from al_learner.core.configuration.defaults import of_new_project
from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import DataError, SettingsError
from al_learner.core.exchange.corpus import checked
from al_learner.core.interfaces import Classifier, Estimator, Labels, ModelSelector, Strategy, Transformer
from al_learner.core.models.querying import pick, query_strategy
from al_learner.core.project import Project
from al_learner.core.registry import INTERFACES, Kind, Spec, allowed
from al_learner.core.simulation.plan import Plan, n_held_out
from al_learner.core.simulation.simulated_annotators import vote

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Round:
    """The result of a round of votes.

    Attributes
    ----------
    number : int
        0 is the cold start.
    labels : int
        Number of texts with votes so far.
    votes : int
        Number of votes so far.
    accuracy, macro_f1 : float
        Of the newest classifier, on the texts that were held out.
    majority : float
        Accuracy of the label that is most frequent among the other texts, on those that were held out.
    seconds : float or None
        From reading the votes to the stored classifier; None if nothing was trained.
    ceiling : float or None
        In the last round: accuracy of the same classifier, trained on the true labels of all other texts.
    """

    number: int
    labels: int
    votes: int
    accuracy: float
    macro_f1: float
    majority: float
    seconds: float | None
    ceiling: float | None = None


def replay(
    database: str,
    texts: Iterable[str],
    labels: Iterable[str],
    plan: Plan,
    *,
    score: bool = False,
    **strategies: str | Spec | Strategy,
) -> Iterator[Round]:
    """Simulate a project from the start, with the steps that a worker takes.

    A fifth of the texts, at most 10,000, is held out of the project. Accuracy is measured on them.

    Parameters
    ----------
    database : str
        URL of an empty database.
    texts, labels : iterable of str
        The corpus and its true labels.
    plan : Plan
    score : bool
        Also score each classifier, as a worker does. With a model selector this is always done, because a worker
        compares the candidates after the score.
    **strategies
        ``classifier``, ``vectorizer``, ``init_sampler``, ``label_aggregator``; by default those of a new project.

    Yields
    ------
    Round
        The cold start, then each round.

    Raises
    ------
    SettingsError, DataError
        Plan, strategies or corpus cannot be used.
    AlLearnerError
        A run failed.
    """
    texts, labels = checked(texts, labels)
    if problems := plan.problems(len(texts)):
        raise SettingsError(problems)
    strategy = query_strategy(plan.query)
    for_split, for_votes, for_query = (np.random.default_rng(s) for s in np.random.SeedSequence(plan.seed).spawn(3))
    order = for_split.permutation(len(texts))[: plan.max_texts]
    held_out, pool = np.split(order, [n_held_out(len(order))])
    names, codes = np.unique(np.array(labels), return_inverse=True)
    voters, voted = vote(
        codes[pool], len(names), annotators=plan.annotators, votes=plan.votes, noise=plan.noise, rng=for_votes
    )
    with closing(Project.of(settings_of(database, plan, strategies))) as project:
        _load(project, [texts[i] for i in pool], names.tolist())
        is_idle_used = score or isinstance(project.settings.strategies.classifier, ModelSelector)
        seconds = _step(project)
        transformer, classifier = project.load_model()
        # The vectorizer stays the same, so the features are computed once.
        unseen, seen = (_transform(transformer, [texts[i] for i in rows]) for rows in (held_out, pool))
        waiting = np.arange(len(pool))
        truth, most_frequent = names[codes[held_out]], names[np.bincount(codes[pool]).argmax()]
        for number in range(plan.rounds + 1):
            if number:
                X = seen[waiting]
                asked = waiting[pick(strategy, classifier.predict_proba(X), X, plan.batch_size, for_query)]
                project.load_votes(
                    (i + 1, str(names[code]), f"annotator {voter + 1}")
                    for i in asked.tolist()
                    for code, voter in zip(voted[i], voters[i], strict=True)
                )
                waiting = np.setdiff1d(waiting, asked)
                seconds = _step(project)
                _, classifier = project.load_model()
            while is_idle_used and project.reconcile().due:
                pass
            n_labels = number * plan.batch_size
            ceiling = _ceiling(project, seen, names[codes[pool]]) if number == plan.rounds else None
            yield Round(
                number,
                n_labels,
                n_labels * plan.votes,
                *_measured(classifier, unseen, truth),
                float(np.mean(truth == most_frequent)),
                seconds,
                None if ceiling is None else _measured(ceiling, unseen, truth)[0],
            )


def settings_of(database: str, plan: Plan, strategies: Mapping[Any, str | Spec | Strategy]) -> Settings:
    """Return the settings of a simulated project. Environment and settings file are ignored.

    Raises
    ------
    SettingsError
        Strategies are wrong, or the environment has an unknown setting.
    """
    if unknown := sorted({*strategies} - {*INTERFACES}):
        raise SettingsError([f"{name!r} is not a kind of strategy; {allowed(name, INTERFACES)}" for name in unknown])
    fields = Settings.model_fields
    made: dict[str, Any] = {}
    for kind in INTERFACES:
        chosen = strategies.get(kind, default_of(kind))
        spec = Spec(chosen, {}) if isinstance(chosen, str) else chosen
        made[kind] = seeded(kind, spec, plan.seed) if isinstance(spec, Spec) else spec
    ours = {
        "database_url": database,
        "batch_size": plan.batch_size,
        "min_label_count": plan.votes,
        "active_learning": None if plan.query == "random" else True,
        "predictor_packages": tuple(sorted({package for strategy in made.values() for package in strategy.requires})),
    }
    return Settings(**{name: field.default for name, field in fields.items()} | made | ours)


def default_of(kind: Kind) -> str:
    """Return the name of the strategy that a new project has."""
    return of_new_project().get(kind) or str(Settings.model_fields[kind].default)


def seeded(kind: Kind, spec: Spec, seed: int) -> Strategy:
    """Make a strategy. The seed is its ``random_state``, if it has one that the spec does not set."""
    made = spec.make(kind)
    if "random_state" in type(made).model_fields and "random_state" not in spec.params:
        return Spec(spec.name, {**spec.params, "random_state": seed}).make(kind)
    return made


def _load(project: Project, texts: Sequence[str], names: Sequence[str]) -> None:
    project.load_texts(texts)
    project.load_labels(names)
    if (found := project.status().texts) != len(texts):
        raise DataError(f"the database must be empty; it had {found - len(texts):,} texts")


def _measured(classifier: Estimator, X: csr_matrix, truth: Labels) -> tuple[float, float]:
    """Return accuracy and macro F1."""
    from sklearn.metrics import f1_score  # heavy

    predicted = classifier.predict(X)
    return float(np.mean(predicted == truth)), float(f1_score(truth, predicted, average="macro", zero_division=0))


def _ceiling(project: Project, X: csr_matrix, y: Labels) -> Estimator | None:
    """Train the project's newest classifier on all texts with their true labels; None if there is only one label."""
    from al_learner.core.training.candidate_selection import trained  # heavy: scikit-learn
    from al_learner.core.training.fitting import fit_classifier, groups_of

    (_, run), *_ = project.models(1)
    if run is None or len(np.unique(y)) < 2:
        return None
    classifier = cast(Classifier, trained(run.strategies["classifier"]).make("classifier"))
    groups = groups_of(project.settings.strategies.vectorizer, X.shape[1])
    return cast(Estimator, fit_classifier(classifier, X, y, groups=groups))


def _step(project: Project) -> float | None:
    """Reconcile once. Return the seconds if a classifier was trained."""
    started = time.monotonic()
    due = project.reconcile().due
    return time.monotonic() - started if due in ("init", "update") else None


def _transform(transformer: Transformer, texts: Sequence[str]) -> csr_matrix:
    from al_learner.core.training.fitting import transform  # heavy: scikit-learn

    return transform(transformer, texts)
