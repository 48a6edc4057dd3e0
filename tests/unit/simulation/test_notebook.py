"""A simulation in a notebook."""

import pandas as pd
import pytest

from al_learner import simulate
from al_learner.core.errors import DataError, SettingsError
from al_learner.core.registry import Spec
from al_learner.core.simulation.grid import Trial, TrialResult
from al_learner.core.simulation.notebook import Curves
from al_learner.core.simulation.plan import Plan
from al_learner.core.simulation.replay import Round
from tests.support.corpora import small


def played(seed, accuracy, error=None):
    specs = [Spec(name, {}) for name in ("complement-nb", "tfidf", "balanced", "majority")]
    rounds = [Round(n, 50 * n, 100 * n, one, one / 2, 0.1, 0.1, 0.9) for n, one in enumerate(accuracy)]
    return TrialResult(Trial(*specs, plan=Plan(rounds=2, batch_size=50, seed=seed)), rounds, error)


@pytest.fixture
def curves():
    return Curves.of([played(0, [0.1, 0.4, 0.6]), played(1, [0.2, 0.5, 0.8])])


def test_it_simulates_on_the_corpus_and_returns_a_row_for_each_round():
    curves = simulate(*map(pd.Series, small()), classifiers="complement-nb", seeds=1, rounds=2, batch_size=6, workers=1)
    assert curves["labels"].tolist() == [0, 6, 12]
    assert curves["accuracy"].between(0, 1).all()
    assert curves.errors == {}


def test_it_is_a_tidy_dataframe(curves):
    assert isinstance(curves, pd.DataFrame)
    assert curves.shape == (6, 14)
    assert curves.groupby("labels")["accuracy"].mean().tolist() == pytest.approx([0.15, 0.45, 0.7])
    assert {*curves["classifier"]} == {"complement-nb"}


def test_what_is_selected_from_it_is_a_plain_dataframe(curves):
    for selected in (curves[curves["seed"] == 0], curves.head(), curves.assign(x=1), curves.copy()):
        assert type(selected) is pd.DataFrame


def test_it_plots_itself(curves):
    picture = curves.plot()
    assert str(picture).startswith("<svg")
    assert picture._repr_svg_() == str(picture)
    assert curves._repr_html_().count("<svg") == 1


@pytest.mark.parametrize(("name", "begins"), [("a.png", b"\x89PNG"), ("a.svg", b"<svg"), ("a.pdf", b"%PDF")])
def test_its_picture_is_saved_as_a_file(curves, tmp_path, name, begins):
    assert curves.plot().save(tmp_path / name).read_bytes().startswith(begins)


def test_a_picture_that_cannot_be_saved_says_why(curves, tmp_path):
    with pytest.raises(DataError, match=r"a\.gif: a picture is saved as \.png, \.svg or \.pdf"):
        curves.plot().save(tmp_path / "a.gif")
    with pytest.raises(DataError, match="No such file"):
        curves.plot().save(tmp_path / "missing" / "a.png")


def test_the_summary_is_the_table_of_the_command(curves):
    summary = curves.summary(target=0.4)
    assert summary.loc[0, "100"] == "70.0 ± 14.1"
    assert summary.loc[0, "labels to 40.0%"] == "50"
    assert "labels to 66.5%" in curves.summary()


def test_what_failed_is_reported():
    curves = Curves.of([played(0, [0.1, 0.4, 0.6]), played(1, [], "boom")])
    assert curves.errors == {"complement-nb, tfidf, balanced, majority, least-confidence, seed 1": "boom"}
    assert len(curves) == 3


def test_wrong_arguments_are_reported_before_anything_is_simulated():
    with pytest.raises(SettingsError, match="did you mean 'logreg'"):
        simulate(*small(), classifiers="logregg")
    with pytest.raises(DataError, match="as many labels"):
        simulate(["a"], [])
    with pytest.raises(TypeError, match="classifer"):
        simulate(*small(), classifer="logreg")


def test_without_pandas_it_says_what_to_install(fresh_python):
    program = """
import sys
sys.modules["pandas"] = None
import al_learner
try:
    al_learner.simulate
except ImportError as exc:
    print(exc)
"""
    assert fresh_python(program).strip() == "simulate returns a pandas.DataFrame: pip install 'al-learner[notebook]'"
