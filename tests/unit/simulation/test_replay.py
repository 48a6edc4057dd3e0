"""One simulated project: what it is given, what it does, and that a seed decides everything."""

import numpy as np
import pytest

from al_learner import Project
from al_learner.core.errors import DataError, PluginError, SettingsError
from al_learner.core.exchange.corpus import checked, demo_corpus
from al_learner.core.interfaces import LabelAggregator, QueryStrategy
from al_learner.core.registry import Spec
from al_learner.core.simulation.plan import Plan
from al_learner.core.simulation.replay import replay, seeded, settings_of
from al_learner.core.simulation.simulated_annotators import Noise
from tests.support.corpora import small

TEXTS, LABELS = small()
PLAN = Plan(rounds=4, batch_size=6)
FAST = {"classifier": "complement-nb", "vectorizer": "tfidf", "init_sampler": "balanced"}


@pytest.fixture
def play(tmp_path):
    """Play the small corpus, with fast strategies, on a database of its own; return the rounds."""
    n = 0

    def one(plan=PLAN, texts=TEXTS, labels=LABELS, **options):
        nonlocal n
        n += 1
        chosen = {**FAST, **options}
        return list(replay(f"sqlite:///{tmp_path / f'{n}.db'}", texts, labels, plan, **chosen))

    return one


def without_seconds(rounds):
    return [(r.number, r.labels, r.votes, r.accuracy) for r in rounds]


def test_it_learns_from_a_cold_start_and_counts_labels_and_votes(play):
    rounds = play(Plan(rounds=8, batch_size=6, annotators=3, votes=2))
    assert [(r.number, r.labels, r.votes) for r in rounds] == [(n, 6 * n, 12 * n) for n in range(9)]
    assert rounds[0].accuracy < rounds[-1].accuracy
    assert all(r.seconds > 0 for r in rounds)


@pytest.mark.parametrize("query", ["least-confidence", "margin", "random", "diverse(candidates_per_text=3)"])
def test_the_same_seed_gives_the_same_rounds_and_another_seed_others(play, query):
    texts, labels = (column[:600] for column in demo_corpus())
    plan = {"rounds": 3, "batch_size": 20, "query": query, "annotators": 2, "noise": Noise("uniform", 0.2)}
    first, again, other = (play(Plan(**plan, seed=seed), texts, labels, classifier="sgd") for seed in (1, 1, 2))
    assert without_seconds(first) == without_seconds(again)
    assert [r.accuracy for r in first] != [r.accuracy for r in other]


def test_the_project_is_one_that_a_worker_could_have_made(play, tmp_path):
    play(Plan(rounds=3, batch_size=6, annotators=3, votes=2))
    project = Project(f"sqlite:///{tmp_path / '1.db'}", classifier="complement-nb", batch_size=6, min_label_count=2)
    status = project.status()
    kinds = [run.kind for _, run in project.models()]
    project.close()
    assert (status.texts, status.votes, status.countable_texts, status.new_samples) == (96, 36, 18, 0)
    assert kinds == ["update", "update", "update", "init"]
    assert status.due == "score"


def test_a_worker_would_have_scored_it_too_if_that_is_asked_for(play, tmp_path):
    play(score=True)
    project = Project(f"sqlite:///{tmp_path / '1.db'}", classifier="complement-nb", batch_size=6)
    metrics = [run.metrics for _, run in project.models()]
    project.close()
    assert all(metrics)


def test_a_model_selector_selects_between_the_rounds_and_the_next_round_trains_the_winner(play, tmp_path):
    auto = Spec("auto", {"candidates": ("complement-nb", "sgd"), "min_labels": 12})
    play(classifier=auto)
    project = Project(f"sqlite:///{tmp_path / '1.db'}", classifier="auto", batch_size=6)
    runs = [run for _, run in reversed(project.models())]
    project.close()
    chosen_by = [None, *(run.choice for run in runs[:-1])]
    trained = [run.strategies["classifier"]["chosen"]["name"] for run in runs]
    assert [run.choice["labels"] for run in runs if run.choice] == [12, 18]
    assert all(name == choice["name"] for name, choice in zip(trained, chosen_by, strict=True) if choice)


def test_what_is_held_out_is_never_seen(play, tmp_path):
    play()
    project = Project(f"sqlite:///{tmp_path / '1.db'}", classifier="complement-nb")
    transformer, _ = project.load_model()
    project.close()
    numbers = {str(number) for number in range(10, 120)}  # each stands in one text
    n_seen = len(numbers & {*transformer.vocabulary_})
    assert 80 <= n_seen < len(numbers)


def test_texts_are_never_asked_about_twice(play, tmp_path):
    play(Plan(rounds=16, batch_size=6))
    project = Project(f"sqlite:///{tmp_path / '1.db'}", classifier="complement-nb")
    status = project.status()
    project.close()
    assert status.votes == status.countable_texts == 96


def test_noise_makes_it_worse(play):
    clean, noisy = (play(Plan(rounds=8, batch_size=6, noise=Noise("uniform", rate))) for rate in (0, 0.9))
    assert noisy[-1].accuracy < clean[-1].accuracy


class Contrary(LabelAggregator):
    """Settles each text's label with the one that comes next, by name."""

    def aggregate(self, votes):
        first = votes.label[np.unique(votes.text, return_index=True)[1]]
        return (first + 1) % len(votes.label_names)


def test_the_aggregator_decides_what_votes_aggregate_to(play):
    plan = Plan(rounds=8, batch_size=6, query="random")
    majority, contrary = play(plan), play(plan, label_aggregator=Contrary())
    assert contrary[-1].accuracy < 1 / 3 < majority[-1].accuracy


def test_a_round_of_one_class_alone_trains_nothing_and_the_next_goes_on(play):
    texts = [f"common {number}" for number in range(200)] + ["rare thing"] * 10
    labels = ["a"] * 200 + ["b"] * 10
    rounds = play(Plan(rounds=20, batch_size=1, query="random"), texts, labels)
    assert rounds[1].seconds is None
    assert rounds[0].accuracy == rounds[1].accuracy
    assert any(r.seconds for r in rounds[2:])


def test_environment_and_settings_file_have_no_say(monkeypatch, tmp_path):
    for name, value in {
        "AL_LEARNER_CLASSIFIER_PARAMS": '{"alpha": 7}',
        "AL_LEARNER_EXCLUDE_LABELS": "bird",
        "AL_LEARNER_PREDICTOR_PACKAGES": "numpy",
        "AL_LEARNER_SIGNING_KEY": "k",
        "REDIS_HOST": "192.0.2.1",
        "BATCH_SIZE": "99",
        "PGHOST": "192.0.2.1",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "al_learner.toml").write_text("[classifiers.complement-nb]\nalpha = 3\n", encoding="utf-8")
    settings = settings_of("sqlite:///x.db", PLAN, {"classifier": "complement-nb"})
    assert settings.strategies.classifier.alpha == 1
    assert (settings.exclude_labels, settings.has_redis, settings.batch_size) == ((), False, PLAN.batch_size)
    assert settings.signing_secret is None
    assert settings.database == "sqlite:///x.db"


def test_a_strategy_that_the_predictor_has_not_can_be_simulated():
    settings = settings_of("sqlite:///x.db", PLAN, {"classifier": "lightgbm"})
    assert "lightgbm" in settings.predictor_packages


def test_the_chance_of_strategies_is_the_seed_unless_it_is_given():
    assert seeded("classifier", Spec("sgd", {}), 5).random_state == 5
    assert seeded("classifier", Spec("sgd", {"random_state": 2}), 5).random_state == 2
    assert seeded("classifier", Spec("logreg", {"C": 2}), 5).C == 2


def test_a_query_strategy_that_there_is_not_is_named(play):
    with pytest.raises(SettingsError, match="query_strategy 'marginn' is unknown; did you mean 'margin'"):
        play(Plan(rounds=1, batch_size=1, query="marginn"))


def test_query_strategies_of_others_can_be_played_and_their_errors_are_named(play):
    last_first = f"{__name__}:LastFirst"
    assert [r.labels for r in play(Plan(rounds=2, batch_size=6, query=last_first))] == [0, 6, 12]
    with pytest.raises(PluginError, match=r"LastFirst.* must return 6 different positions"):
        play(Plan(rounds=2, batch_size=6, query=f"{last_first}(n_missing=1)"))


class LastFirst(QueryStrategy):
    """The last texts."""

    n_missing: int = 0

    def scores(self, probabilities, rng):
        return rng.random(len(probabilities))

    def query(self, probabilities, X, size, rng):
        del X, rng
        return np.arange(len(probabilities))[::-1][: size - self.n_missing]


def test_a_kind_that_there_is_not_is_named(play):
    with pytest.raises(SettingsError, match="'klassifier' is not a kind of strategy; did you mean 'classifier'"):
        play(klassifier="sgd")


def test_a_database_with_texts_is_refused(play, tmp_path):
    project = Project(f"sqlite:///{tmp_path / '1.db'}")
    project.load_texts(["somebody's"])
    project.close()
    with pytest.raises(DataError, match="the database must be empty; it had 1 texts"):
        play()


@pytest.mark.parametrize(
    ("texts", "labels", "said"),
    [
        (["a"], ["x", "y"], "1 texts need as many labels, not 2"),
        (["a", "b"], ["x", "x"], "two different labels are needed; 2 texts have 1"),
        ([], [], "two different labels are needed; 0 texts have 0"),
        (["a", "b"], ["x", "y" * 51], "item 1: the label has 51 characters; at most 50 are allowed"),
        (["a", None], ["x", "y"], "item 1: the text is missing"),
        (["a", "b"], ["x", ""], "item 1: the label is empty"),
        (["a", "b"], ["x", float("nan")], "item 1: the label is missing"),
    ],
)
def test_a_corpus_that_cannot_be_used_is_refused_with_the_reason(texts, labels, said):
    with pytest.raises(DataError, match=said):
        checked(texts, labels)


def test_labels_can_be_numbers():
    assert checked(["a", "b"], [1, 2]) == (["a", "b"], ["1", "2"])
