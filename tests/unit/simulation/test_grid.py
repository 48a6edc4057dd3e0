"""The grid of a simulation, as a person writes it."""

import pytest

from al_learner import strategy
from al_learner.core.configuration import defaults
from al_learner.core.errors import SettingsError
from al_learner.core.simulation.grid import LABELS, Grid


def test_every_combination_is_simulated_with_every_query_and_seed():
    grid = Grid(classifiers="logreg,sgd", vectorizers=["count", "tfidf"], query="margin,random", seeds=3)
    cells = grid.trials(2_384)
    assert len(cells) == len({(*cell.names().values(), cell.plan.seed) for cell in cells}) == 2 * 2 * 2 * 3
    assert {cell.init_sampler.name for cell in cells} == {defaults.of_new_project()["init_sampler"]}


def test_by_default_the_strategies_of_a_new_project_are_simulated(monkeypatch):
    other = {"classifier": "sgd", "vectorizer": "hashing", "init_sampler": "uniform"}
    monkeypatch.setattr(defaults, "WITHOUT_SOURCE", other)
    monkeypatch.setattr(defaults, "WITH_SOURCE", other)

    [cell] = Grid(seeds=1).trials(100)

    assert {kind: spec.name for kind, spec in cell.strategies().items()} == {**other, "label_aggregator": "majority"}


def test_a_strategy_is_simulated_once_however_often_it_is_named():
    assert len(Grid(classifiers="logreg, logreg", seeds=1).trials(100)) == 1


def test_a_strategy_can_be_an_object():
    cells = Grid(classifiers=[strategy("classifier", "logreg", C=10), "sgd"], seeds=1).trials(100)
    assert [cell.classifier.name for cell in cells] == ["logreg", "sgd"]
    assert cells[0].classifier.params["C"] == 10


def test_a_query_strategy_can_have_parameters_and_be_an_object():
    diverse = strategy("query_strategy", "diverse", candidates_per_text=3)
    grid = Grid(query=["margin", "diverse( candidates_per_text = 3 )", diverse, "margin"], seeds=1)
    assert [cell.plan.query for cell in grid.trials(100)] == [
        "margin",
        "diverse(candidates_per_text=3)",
        "diverse(candidates_per_text=3, n_components=50)",
    ]


def test_without_rounds_it_goes_to_a_thousand_labels_or_as_far_as_the_texts_last():
    assert Grid(batch_size=30).trials(5_000)[0].plan.rounds == LABELS // 30
    assert Grid(batch_size=30).trials(100)[0].plan.rounds == 80 // 30


def test_by_default_all_annotators_vote_on_each_text():
    assert Grid(annotators=3).trials(100)[0].plan.votes == 3
    assert Grid(annotators=3, votes=2).trials(100)[0].plan.votes == 2


def test_every_wrong_name_parameter_and_number_is_reported_at_once():
    grid = Grid(
        classifiers="logregg,logreg(c=1),sgd(alpha", vectorizers=[], query="best", noise="much", seeds=1, rounds=5_000
    )
    with pytest.raises(SettingsError) as caught:
        grid.trials(100)
    said = caught.value.problems
    for named in ("did you mean 'logreg'?", "did you mean 'C'?", "'sgd(alpha'", "vectorizer: none", "'best'", "'much'"):
        assert len([problem for problem in said if named in problem]) == 1, named


def test_no_seed_at_all_is_an_error():
    with pytest.raises(SettingsError, match="seeds = 0: must be at least 1"):
        Grid(seeds=0).trials(100)


def test_an_unknown_setting_is_reported_before_anything_is_simulated(monkeypatch):
    monkeypatch.setenv("AL_LEARNER_CLASIFIER", "sgd")
    with pytest.raises(SettingsError, match="AL_LEARNER_CLASIFIER is not a setting"):
        Grid().trials(100)
