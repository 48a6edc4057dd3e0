"""The numbers by which strategies are compared."""

import numpy as np
import pytest

from al_learner.core.registry import Spec
from al_learner.core.simulation.grid import Trial, TrialResult
from al_learner.core.simulation.metrics import Curve, curves, default_target, points, rows, same, table, varying
from al_learner.core.simulation.plan import Plan
from al_learner.core.simulation.replay import Round

NAMES = {"classifier": "a", "vectorizer": "b", "init_sampler": "c", "label_aggregator": "d", "query": "random"}


def curve(accuracy, labels=(0, 50, 100)):
    return Curve(NAMES, np.array(labels), np.array(accuracy, float), np.array(accuracy) / 2, 0.1, None, None, ())


def played(classifier, seed, accuracy, error=None):
    specs = [Spec(name, {}) for name in (classifier, "tfidf", "balanced", "majority")]
    rounds = [Round(n, 50 * n, 50 * n, one, one / 2, 0.2, 0.1 * n, 0.95) for n, one in enumerate(accuracy)]
    return TrialResult(Trial(*specs, plan=Plan(rounds=2, batch_size=50, seed=seed)), rounds, error)


def test_accuracy_at_a_round_is_that_of_the_round_with_its_spread():
    at = curve([[0.1, 0.4, 0.6], [0.1, 0.5, 0.8]]).at(100)
    assert at.mean == pytest.approx(0.7)
    assert at.sd == pytest.approx(np.std([0.6, 0.8], ddof=1))


def test_accuracy_between_two_rounds_is_interpolated():
    assert curve([[0.1, 0.4, 0.6]]).at(75).mean == pytest.approx(0.5)


def test_beyond_the_last_round_there_is_no_accuracy():
    assert curve([[0.1, 0.4, 0.6]]).at(101) is None


def test_one_seed_has_no_spread():
    assert curve([[0.1, 0.4, 0.6]]).at(100).sd is None


def test_the_area_is_the_mean_height_of_the_curve():
    assert curve([[0.5, 0.5, 0.5]]).area.mean == pytest.approx(0.5)
    assert curve([[0.0, 0.5, 1.0]]).area.mean == pytest.approx(0.5)
    assert curve([[0.0, 0.0, 1.0]], labels=(0, 80, 100)).area.mean == pytest.approx(0.1)


def test_labels_to_a_target_are_those_of_the_first_round_whose_mean_reaches_it():
    found = curve([[0.1, 0.4, 0.6], [0.1, 0.6, 0.6]])
    assert found.labels_to(0.5) == 50
    assert found.labels_to(0.55) == 100
    assert found.labels_to(0.61) is None


def test_seeds_are_put_together_and_the_largest_area_comes_first():
    found = curves([played("x", 0, [0, 0.1, 0.2]), played("y", 0, [0, 0.5, 0.9]), played("x", 1, [0, 0.3, 0.4])])
    assert [(c.names["classifier"], len(c.accuracy)) for c in found] == [("y", 1), ("x", 2)]
    assert found[1].seconds == pytest.approx(0.15)  # the cold start is no update


def test_what_failed_comes_last_with_the_reason_and_does_not_count():
    found = curves([played("x", 0, [0.1], "boom"), played("y", 0, [0, 0.5, 0.9]), played("y", 1, [0.1], "boom")])
    assert [(c.names["classifier"], len(c.accuracy), c.errors) for c in found] == [
        ("y", 1, ("boom",)),
        ("x", 0, ("boom",)),
    ]
    header, lines = table(found, default_target(found))
    assert lines[1] == ["x", "tfidf", *["-"] * (len(header) - 2)]


def test_without_a_target_it_is_95_percent_of_the_best_end():
    assert default_target([curve([[0.0, 0.5, 0.6]]), curve([[0.0, 0.9, 0.8]])]) == pytest.approx(0.76)
    assert default_target(curves([played("x", 0, [], "boom")])) is None


def test_the_table_names_what_differs_and_the_line_below_it_the_rest():
    found = curves([played("x", 0, [0, 0.5, 0.75]), played("y", 0, [0, 0.5, 0.9])])
    header, lines = table(found, 0.7)
    assert header == [
        "classifier", "vectorizer", "0", "50", "100", "macro F1 at 100", "all labels", "area", "labels to 70.0%",
        "s/update",
    ]  # fmt: skip
    assert lines[1] == ["x", "tfidf", "0.0", "50.0", "75.0", "37.5", "95.0", "43.8", "100", "0.15"]
    assert same(found) == "init sampler balanced, aggregator majority, query least-confidence"
    assert varying(found[:1]) == ["classifier", "vectorizer"]
    assert varying([*found, curve([[0, 0, 0]])])[-1] == "query"


def test_accuracy_is_shown_only_as_far_as_the_simulation_went():
    assert points([curve([[0, 0, 0]])]) == [0, 50, 100]
    assert points([curve([[0, 0, 0]], labels=(0, 10, 20))]) == [0, 20]
    assert points([]) == []


def test_the_rows_are_plain_data():
    assert rows(curves([played("x", 0, [0, 0.5, 0.75])]), 0.7) == [
        {
            "classifier": "x",
            "vectorizer": "tfidf",
            "init_sampler": "balanced",
            "label_aggregator": "majority",
            "query": "least-confidence",
            "seeds": 1,
            "accuracy": {
                "0": {"mean": 0.0, "sd": None},
                "50": {"mean": 0.5, "sd": None},
                "100": {"mean": 0.75, "sd": None},
            },
            "macro_f1": {
                "0": {"mean": 0.0, "sd": None},
                "50": {"mean": 0.25, "sd": None},
                "100": {"mean": 0.375, "sd": None},
            },
            "area": {"mean": 0.4375, "sd": None},
            "ceiling": {"mean": 0.95, "sd": None},
            "majority": {"mean": 0.2, "sd": None},
            "target": 0.7,
            "labels_to_target": 100,
            "seconds_per_update": pytest.approx(0.15),
            "errors": [],
        }
    ]
