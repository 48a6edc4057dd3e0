"""The grid of a simulation: combinations of strategies, queries and seeds, as a person writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from al_learner.core.errors import PluginError, SettingsError
from al_learner.core.interfaces import Strategy
from al_learner.core.registry import INTERFACES, Kind, Spec, split
from al_learner.core.simulation.plan import Plan, n_pool
from al_learner.core.simulation.replay import Round, default_of, settings_of
from al_learner.core.simulation.simulated_annotators import Noise

LABELS = 1_000
"""Number of labels at the end of a simulation, if the rounds are not given and the corpus is large enough."""

RANDOM = "random"
"""The query strategy that others are compared with."""

Chosen = str | Strategy | Sequence[str | Strategy]
"""Strategies as a person writes them: objects, or ``NAME`` and ``NAME(parameter=value)`` in a text or a list."""


@dataclass(frozen=True)
class Trial:
    """One simulated project: a combination of strategies, and a plan with its seed."""

    classifier: Spec
    vectorizer: Spec
    init_sampler: Spec
    label_aggregator: Spec
    plan: Plan = field(kw_only=True)

    def strategies(self) -> dict[Kind, Spec]:
        """Return the strategies by kind."""
        return {kind: getattr(self, kind) for kind in INTERFACES}

    def names(self) -> dict[str, str]:
        """Return the strategies and the query strategy as text. Together they identify the learning curve."""
        return {**{kind: str(spec) for kind, spec in self.strategies().items()}, "query": self.plan.query}


@dataclass
class TrialResult:
    """The result of a trial.

    Attributes
    ----------
    rounds : list of Round
        The rounds until it ended or failed.
    error : str or None
        Why it failed. None: it did not fail.
    is_reused : bool
        It was read from the file of an earlier simulation.
    """

    trial: Trial
    rounds: list[Round] = field(default_factory=list)
    error: str | None = None
    is_reused: bool = False


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What is compared: every combination of the strategies, with each query and each seed.

    Attributes
    ----------
    classifiers, vectorizers, init_samplers, aggregators : str, Strategy, or a list of them
        ``NAME`` or ``NAME(parameter=value)``, in one text separated by commas. By default those of a new project.
    query : str, QueryStrategy, or a list of them
        The query strategies, which pick the texts that are voted on next: as above. The API picks by
        ``least-confidence``.
    batch_size : int
        Number of texts that are voted on in a round. Each round trains.
    rounds : int, optional
        By default enough for 1,000 labels, or for all texts if there are fewer.
    seeds : int
        Number of repetitions, each with its own random texts and votes.
    annotators, votes : int
        How many annotators there are, and how many of them vote on each text; by default all.
    noise : str
        ``uniform:RATE``: all annotators err at that rate. ``careless:RATE``: one annotator errs at that rate, the
        others never.
    max_texts : int, optional
        Use only this number of texts of the corpus, chosen at random.
    with_random : bool
        Also simulate the first combination with the query strategy ``random``, to compare with.
    """

    classifiers: Chosen | None = None
    vectorizers: Chosen | None = None
    init_samplers: Chosen | None = None
    aggregators: Chosen | None = None
    query: Chosen = "least-confidence"
    batch_size: int = 25
    rounds: int | None = None
    seeds: int = 3
    annotators: int = 1
    votes: int | None = None
    noise: str = "uniform:0"
    max_texts: int | None = None
    with_random: bool = False

    def trials(self, n_texts: int) -> list[Trial]:
        """Return all trials on a corpus of `n_texts`.

        Raises
        ------
        SettingsError
            It lists everything that is wrong with strategies and plans.
        """
        problems: list[str] = []
        chosen = self.classifiers, self.vectorizers, self.init_samplers, self.aggregators
        specs = [_specs(kind, given, problems) for kind, given in zip(INTERFACES, chosen, strict=True)]
        plans = self._plans(n_texts, problems)
        problems += dict.fromkeys(problem for plan in plans for problem in plan.problems(n_texts))
        if problems:
            raise SettingsError(problems)
        combinations = list(product(*specs))
        trials = [Trial(*combination, plan=plan) for combination in combinations for plan in plans]
        if self.with_random:
            compared = {replace(plan, query=RANDOM) for plan in plans} - {*plans}
            trials += [Trial(*combinations[0], plan=plan) for plan in sorted(compared, key=lambda plan: plan.seed)]
        settings_of("sqlite:///unused.db", trials[0].plan, trials[0].strategies())
        return trials

    def _plans(self, n_texts: int, problems: list[str]) -> list[Plan]:
        noise = Noise()
        try:
            noise = Noise.of(self.noise)
        except SettingsError as exc:
            problems += exc.problems
        if self.seeds < 1:
            problems.append(f"seeds = {self.seeds}: must be at least 1")
        n_labels = min(LABELS, n_pool(n_texts, self.max_texts))
        plan = Plan(
            rounds=max(1, n_labels // max(1, self.batch_size)) if self.rounds is None else self.rounds,
            batch_size=self.batch_size,
            annotators=self.annotators,
            votes=self.annotators if self.votes is None else self.votes,
            noise=noise,
            max_texts=self.max_texts,
        )
        queries = [str(spec) for spec in _specs("query_strategy", self.query, problems)] or [plan.query]
        return [replace(plan, query=query, seed=seed) for query in queries for seed in range(self.seeds)]


def _specs(kind: Kind, chosen: Chosen | None, problems: list[str]) -> list[Spec]:
    chosen = default_of(kind) if chosen is None else chosen
    given = split(chosen) if isinstance(chosen, str) else [chosen] if isinstance(chosen, Strategy) else list(chosen)
    if not given:
        problems.append(f"{kind}: none is given; name at least one")
    specs = {}
    for item in given:
        try:
            spec = Spec.of(kind, item) if isinstance(item, Strategy) else Spec.read(kind, item)
            spec.make(kind)
            specs[str(spec)] = spec
        except SettingsError as exc:
            problems += exc.problems
        except PluginError as exc:
            problems.append(str(exc))
    return list(specs.values())
