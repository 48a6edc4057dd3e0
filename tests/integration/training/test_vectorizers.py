"""The vectorizer is fitted once and kept, and only what we stored is ever unpickled."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from al_learner.core.artifacts.pickling import sha256
from al_learner.core.errors import DataError, UntrustedError
from tests.support.tables import ON_BOTH

TRAP = "sprung"


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.fixture
def trap(tmp_path):
    return pickle.dumps(Trap(tmp_path / TRAP))


@pytest.fixture
def assert_not_sprung(tmp_path, trap):
    yield
    assert not (tmp_path / TRAP).exists()
    pickle.loads(trap)
    assert (tmp_path / TRAP).exists()  # it would have


@pytest.fixture
def voted(database):
    for number in range(8):
        database.add_text(f"Text {number} about {'Sun' if number % 2 else 'rain'}", labels=["ab"[number % 2]])
    return database


def vectorizers(tables):
    """Return which vectorizer each classifier goes with."""
    return tables.query("SELECT clf_id, countvec_id FROM al_runs WHERE status = 'succeeded' ORDER BY 1")


# -- refitting ----------------------------------------------------------------------------------------------------


def test_the_vectorizer_is_fitted_once_and_kept(voted, open_project):
    for _ in range(3):
        open_project(voted).update(force=True)

    assert vectorizers(voted) == [(1, 1), (2, 1), (3, 1)]
    assert voted.count("countvecs") == 1


@ON_BOTH
def test_it_is_fitted_on_all_texts_and_all_prelabelled_data(voted, open_project):
    voted.add_texts("nobody voted here")
    voted.add_init_data(("prelabelled snow", "a"))

    open_project(voted).update(force=True)

    words = pickle.loads(voted.value("SELECT countvec FROM countvecs")).vocabulary_
    assert {"sun", "nobody", "prelabelled", "snow"} <= words.keys()


def test_texts_that_come_later_do_not_change_it(voted, open_project):
    project = open_project(voted)
    project.update(force=True)
    voted.add_text("completely unheard words", labels=["a"])

    assert project.update(force=True).run is not None
    assert vectorizers(voted) == [(1, 1), (2, 1)]


@pytest.mark.parametrize(
    "kept",
    [
        {"classifier": "logreg"},
        {"classifier_params": {"alpha": 0.5}},
        {"label_aggregator": "majority", "batch_size": 3},
        {"vectorizer_params": {"lowercase": True}},
    ],
)
def test_other_settings_than_the_vectorizers_keep_it(voted, open_project, kept):
    open_project(voted).update(force=True)
    open_project(voted, **kept).update(force=True)

    assert vectorizers(voted) == [(1, 1), (2, 1)]


@ON_BOTH
@pytest.mark.parametrize("changed", [{"vectorizer_params": {"lowercase": False}}, {"vectorizer": "count"}])
@pytest.mark.usefixtures("prelabelled")
def test_it_is_refitted_when_its_name_or_parameters_change(voted, open_project, logged, changed):
    for _ in range(2):
        open_project(voted).update(force=True)
    assert logged.named("vectorizer.refitted") == []

    for settings in (changed, changed, {}):
        open_project(voted, **settings).update(force=True)

    assert vectorizers(voted) == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)]
    assert [fields["no_longer_downloadable"] for fields in logged.named("vectorizer.refitted")] == ["1-2", "1-4"]


@pytest.fixture
def prelabelled(voted):
    voted.add_init_data(("prelabelled", "a"))


def test_it_is_refitted_when_asked(voted, open_project):
    project = open_project(voted)
    project.update(force=True)
    project.update(force=True, refit=True)

    assert vectorizers(voted) == [(1, 1), (2, 2)]


def test_a_new_vectorizer_is_stored_only_with_a_classifier(voted, open_project):
    project = open_project(voted)
    project.update(force=True)
    voted.query("DELETE FROM text_data WHERE text_id > 2")
    voted.query("UPDATE text_data SET text_data = ''")

    with pytest.raises(DataError):
        project.update(force=True, refit=True)

    assert voted.count("countvecs") == 1


# -- trust --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("assert_not_sprung")
def test_a_vectorizer_that_is_not_ours_is_replaced_and_never_loaded(voted, open_project, trap):
    open_project(voted).update(force=True)
    voted.add_countvec(trap)

    open_project(voted).update(force=True)

    assert vectorizers(voted) == [(1, 1), (2, 3)]


@pytest.mark.usefixtures("assert_not_sprung")
def test_a_vectorizer_that_was_there_before_us_is_replaced_and_never_loaded(voted, open_project, trap):
    voted.add_countvec(trap)
    voted.add_clf(trap)

    open_project(voted).update(force=True)

    assert vectorizers(voted) == [(2, 2)]


@pytest.mark.usefixtures("assert_not_sprung")
def test_a_vectorizer_that_was_changed_is_replaced_and_never_loaded(voted, open_project, trap, logged):
    open_project(voted).update(force=True)
    voted.query("UPDATE countvecs SET countvec = ?", trap)

    result = open_project(voted).update(force=True)

    assert result.run is not None
    assert vectorizers(voted) == [(1, 1), (2, 2)]
    assert len(logged.named("vectorizer.refitted")) == 1


@ON_BOTH
@pytest.mark.usefixtures("assert_not_sprung")
def test_a_vectorizer_that_is_changed_between_two_runs_of_a_process_is_replaced(voted, open_project, trap, logged):
    project = open_project(voted)
    for _ in range(3):
        project.update(force=True)
    voted.query("UPDATE countvecs SET countvec = ?", trap)

    project.update(force=True)

    assert vectorizers(voted) == [(1, 1), (2, 1), (3, 1), (4, 2)]
    assert len(logged.named("vectorizer.refitted")) == 1


def test_a_vectorizer_that_cannot_be_read_is_replaced(voted, open_project):
    """As when another version of scikit-learn wrote it."""
    open_project(voted).update(force=True)
    unreadable = b"cno_such_module\nNoSuchClass\n."
    voted.query("UPDATE countvecs SET countvec = ?", unreadable)
    voted.query("UPDATE al_runs SET countvec_sha256 = ?", sha256(unreadable))

    assert open_project(voted).update(force=True).run is not None
    assert vectorizers(voted) == [(1, 1), (2, 2)]


@pytest.mark.usefixtures("assert_not_sprung")
@pytest.mark.parametrize("changed", ["UPDATE classifiers SET clf = ?", "UPDATE countvecs SET countvec = ?"])
def test_what_was_changed_does_not_predict(voted, open_project, trap, changed):
    project = open_project(voted)
    project.update(force=True)
    voted.query(changed, trap)

    with pytest.raises(UntrustedError):
        list(project.predict())
    assert project.status().clf_id == 1


@pytest.mark.usefixtures("assert_not_sprung")
def test_a_classifier_that_was_changed_is_not_started_from_and_never_loaded(voted, open_project, trap):
    open_project(voted, classifier="logreg").update(force=True)
    voted.query("UPDATE classifiers SET clf = ?", trap)

    result = open_project(voted, classifier="logreg").update(force=True)

    assert result.run is not None
    assert vectorizers(voted) == [(1, 1), (2, 1)]


@pytest.mark.usefixtures("assert_not_sprung")
def test_a_classifier_that_is_not_ours_does_not_predict(voted, open_project, trap):
    project = open_project(voted)
    project.update(force=True)
    voted.add_clf(trap)

    with pytest.raises(UntrustedError):
        list(project.predict())
    assert len(list(project.predict(clf_id=1))) == 8


def test_an_older_classifier_predicts_with_its_own_vectorizer(voted, open_project):
    open_project(voted).update(force=True)
    open_project(voted, vectorizer_params={"lowercase": False}).update(force=True)
    project = open_project(voted)

    assert [prediction.label for prediction in project.predict(["sun", "rain"], clf_id=1)] == ["b", "a"]
    assert [prediction.label for prediction in project.predict(["Sun", "rain"], clf_id=2)] == ["b", "a"]


def test_a_classifier_that_is_not_there_is_named(voted, open_project):
    project = open_project(voted)
    with pytest.raises(DataError):
        list(project.predict())
    project.update(force=True)

    with pytest.raises(DataError, match="no classifier 7"):
        list(project.predict(clf_id=7))


# -- the signing key ----------------------------------------------------------------------------------------------


@ON_BOTH
def test_what_was_signed_predicts_and_is_kept(voted, open_project):
    for _ in range(2):
        project = open_project(voted, signing_key="secret")
        project.update(force=True)

    assert vectorizers(voted) == [(1, 1), (2, 1)]
    assert len(list(project.predict())) == 8
    assert None not in [signature for (signature,) in voted.query("SELECT signature FROM al_runs")]


@pytest.mark.parametrize("before", [{}, {"signing_key": "another"}])
def test_what_was_not_signed_with_the_key_is_not_loaded(voted, open_project, before):
    open_project(voted, **before).update(force=True)
    project = open_project(voted, signing_key="secret")

    with pytest.raises(UntrustedError):
        list(project.predict())
    project.update(force=True)
    assert vectorizers(voted) == [(1, 1), (2, 2)]
    assert len(list(project.predict())) == 8


def test_the_key_may_be_in_a_file(voted, open_project, tmp_path):
    key = tmp_path / "key"
    key.write_text("secret\n")
    open_project(voted, signing_key_file=key).update(force=True)

    assert len(list(open_project(voted, signing_key="secret").predict())) == 8


def test_without_a_key_what_was_signed_is_still_ours(voted, open_project):
    open_project(voted, signing_key="secret").update(force=True)
    open_project(voted).update(force=True)

    assert vectorizers(voted) == [(1, 1), (2, 1)]


@ON_BOTH
def test_the_share_of_unknown_words_is_measured_with_each_score(voted, open_project):
    project = open_project(voted, batch_size=1)
    project.update()
    assert project.status().unknown_tokens == 0

    text_id = voted.add_text("nobody knows these", labels=[])
    assert project.status().unknown_tokens == 0  # not scored since
    voted.vote(text_id, "a")
    run = project.update().run

    assert project.status().unknown_tokens == run.metrics["unknown_tokens"]
    assert 0 < run.metrics["unknown_tokens"] < 0.2
    assert project.promote(1).run.metrics["unknown_tokens"] == project.status().unknown_tokens == 0


def test_a_project_that_is_not_scored_yet_knows_no_share_of_unknown_words(voted, open_project):
    project = open_project(voted)
    assert project.status().unknown_tokens is None
    project.update(force=True)
    voted.query("UPDATE al_runs SET metrics = NULL")
    assert project.status().unknown_tokens is None


@pytest.fixture
def forged(voted, open_project, trap):
    """Someone who may write to the database, but has no key, put a pair and a fitting run there."""
    project = open_project(voted, signing_key="secret")
    project.update(force=True)
    voted.query("UPDATE countvecs SET countvec = ?", trap)
    voted.query("UPDATE classifiers SET clf = ?", trap)
    voted.query("UPDATE al_runs SET clf_sha256 = ?, countvec_sha256 = ?, metrics = NULL", sha256(trap), sha256(trap))
    return open_project(voted, signing_key="secret")


@ON_BOTH
@pytest.mark.usefixtures("assert_not_sprung")
def test_a_forged_model_does_not_predict(forged):
    with pytest.raises(UntrustedError):
        list(forged.predict())
    forged.status()


@pytest.mark.usefixtures("assert_not_sprung")
def test_a_forged_vectorizer_is_replaced(forged, voted):
    assert forged.update(force=True).run is not None
    assert vectorizers(voted) == [(1, 1), (2, 2)]


@pytest.mark.usefixtures("assert_not_sprung")
def test_a_forged_model_is_replaced_at_once(forged, voted):
    assert forged.reconcile().due == "update"  # without any new sample
    assert vectorizers(voted) == [(1, 1), (2, 2)]


@pytest.mark.usefixtures("assert_not_sprung")
def test_a_forged_model_is_not_scored(forged, voted):
    """Scoring loads the vectorizer as well."""
    voted.query("DELETE FROM text_data")  # so no update can replace it

    assert forged.reconcile().due == "score"
    assert forged.reconcile().due is None
