"""Telling the predictor, through a Redis that forgets."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.corpora import add_weather
from tests.support.predictor import END, ear
from tests.support.servers import free_port
from tests.support.tables import ON_BOTH
from tests.support.waiting import DEADLINE_S


@pytest.fixture
def voted(database):
    for number in range(4):
        database.add_text(f"text {number}", labels=["ab"[number % 2]])
    return database


@pytest.fixture
def project(voted, redis, open_project):
    return open_project(voted, batch_size=4, redis_host="127.0.0.1", redis_port=redis.port)


@contextmanager
def predictor(redis) -> Iterator[list[str]]:
    """Subscribe to `predictor`; the list fills with what was heard when the block ends."""
    heard: list[str] = []
    with redis.client() as client, ear(client) as subscription:
        yield heard
        client.publish("predictor", END)
        while (message := subscription.get_message(timeout=DEADLINE_S)) and message["data"] != END:
            heard.append(message["data"])


def announced(tables):
    return [when is not None for (when,) in tables.query("SELECT announced FROM al_runs ORDER BY run_id")]


def test_a_subscriber_receives_the_announcement_of_a_new_classifier_once(project, voted, redis):
    with predictor(redis) as heard:
        project.update()
        assert project.reconcile().due is None

    assert heard == ["update"]
    assert announced(voted) == [True]


def test_what_nobody_received_is_not_announced(project, voted, logged):
    project.update()

    assert announced(voted) == [False]
    assert logged.named("announced") == []
    assert len(logged.named("announcement.not_received")) == 1


def test_it_is_announced_again_as_soon_as_somebody_listens(project, voted, redis):
    project.update()
    for _ in range(3):
        assert project.reconcile().due is None  # the pause is not over
    assert announced(voted) == [False]

    with predictor(redis) as heard:
        assert project.reconcile().due == "announce"
        assert project.reconcile().due is None

    assert heard == ["update"]
    assert announced(voted) == [True]


def test_several_waiting_classifiers_are_one_announcement(project, voted, redis):
    for _ in range(3):
        project.update(force=True)

    with predictor(redis) as heard:
        project.reconcile()
        project.reconcile()

    assert heard == ["update"]
    assert announced(voted) == [True, True, True]


def test_a_worker_announces_what_another_could_not(project, voted, redis, open_project):
    project.update()
    other = open_project(voted, batch_size=4, redis_url=f"redis://127.0.0.1:{redis.port}/0")

    with predictor(redis) as heard:
        other.reconcile()

    assert heard == ["update"]


def test_an_init_with_a_classifier_present_is_answered_with_an_announcement(project, redis):
    with predictor(redis) as heard:
        project.update()
        assert project.reconcile(init_received=True).due == "announce"

    assert heard == ["update", "update"]


def test_an_init_whose_announcement_nobody_received_is_answered_later(project, redis):
    with predictor(redis) as heard:
        project.update()
        assert project.reconcile().due is None
    project.reconcile(init_received=True)
    newest = project.reconcile().newest
    assert newest.announced is not None
    assert project.is_announcement_pending(newest)

    with predictor(redis) as again:
        assert project.reconcile().due == "announce"
        assert project.reconcile().due is None

    assert (heard, again) == (["update"], ["update"])
    assert not project.is_announcement_pending(newest)


def test_an_init_whose_announcement_redis_refused_is_answered_later(voted, redis, open_project, logged):
    with redis.client() as admin, predictor(redis) as heard:
        rule = ["ACL", "SETUSER", "learner", "on", "nopass", "allkeys", "allchannels", "+@all"]
        admin.execute_command(*rule)
        try:
            project = open_project(voted, batch_size=4, redis_url=f"redis://learner:any@127.0.0.1:{redis.port}")
            project.update()
            admin.execute_command(*rule, "-publish", "-pubsub")
            project.reconcile(init_received=True)
            project.reconcile()
            assert len(logged.named("announcement.failed")) == 2  # PUBLISH, then PUBSUB NUMSUB
            assert len(logged.named("announced")) == 1

            admin.execute_command(*rule)
            assert project.reconcile().due == "announce"
            assert project.reconcile().due is None
        finally:
            admin.execute_command("ACL", "DELUSER", "learner")

    assert heard == ["update", "update"]


@pytest.fixture
def clock(monkeypatch) -> Iterator[list[float]]:
    """The time that announcements see, in seconds."""
    now = [1_000.0]
    monkeypatch.setattr("al_learner.core.lifecycle.announcements.monotonic", lambda: now[0])
    return now


def n_published(redis) -> int:
    with redis.client() as client:
        return client.info("commandstats").get("cmdstat_publish", {"calls": 0})["calls"]


@pytest.mark.parametrize("flag", ["available", "unavailable"])
def test_pauses_between_announcements_that_nobody_receives_double_up_to_an_hour(project, redis, clock, flag):
    with redis.client() as client:
        client.set("queryFlag", flag)
    began, before, attempts = clock[0], n_published(redis), []
    project.update()
    while clock[0] - began < 4 * 3600:
        if n_published(redis) - before > len(attempts):
            attempts.append(clock[0] - began)
        clock[0] += 60
        project.reconcile()
        project.repeat_announcement()

    assert attempts == [0, 120, 360, 840, 1800, 3720, 7320, 10920]


def test_a_new_run_ends_the_pause(project, redis, clock):
    for _ in range(4):
        project.reconcile()
        clock[0] += 1_000
    before = n_published(redis)

    project.update(force=True)
    clock[0] += 119
    project.reconcile()
    assert n_published(redis) == before + 1
    clock[0] += 1
    project.reconcile()
    assert n_published(redis) == before + 2


def test_a_predictor_that_starts_while_the_app_is_locked_is_told_at_once(project, redis, clock):
    with redis.client() as client:
        client.set("queryFlag", "unavailable")
    with predictor(redis):
        project.update()
    for _ in range(6):
        clock[0] += 3_600
        project.repeat_announcement()

    clock[0] += 30
    with predictor(redis) as heard:
        project.repeat_announcement()

    assert heard == ["update"]


def test_a_flag_that_an_older_update_has_set_does_not_acknowledge(project, voted, redis, clock):
    with redis.client() as client:
        client.set("queryFlag", "unavailable")
        project.update()
        client.set("queryFlag", "available")
    for _ in range(5):
        clock[0] += 3_600
        project.repeat_announcement()
        assert project.reconcile().due == "announce"

    assert announced(voted) == [False]


@pytest.fixture
def unreceived(voted, project, clock):
    """A project whose second classifier was announced to nobody, and whose pause is over; the texts are not scored."""
    add_weather(voted, 12)  # so few that the sample is all texts
    project.update()
    voted.add_text("one more about rain", labels=["b"])
    assert project.update(force=True).run.clf_id == 2
    clock[0] += 120
    return project


def predict(tables, clf_id):
    """Do what the predictor does with a classifier."""
    [(vectorizer,)] = tables.query("SELECT countvec FROM countvecs")
    [(classifier,)] = tables.query(f"SELECT clf FROM classifiers WHERE clf_id = {clf_id}")
    texts = tables.query("SELECT text_id, text_data FROM text_data ORDER BY 1")
    classifier, X = pickle.loads(classifier), pickle.loads(vectorizer).transform([text for _, text in texts])
    rows = zip(texts, classifier.predict(X), classifier.predict_proba(X).max(axis=1), strict=True)
    for (text_id, _), label, highest in rows:
        change = f"predicted_label = '{label}', uncertainty = {float(highest)!r}"
        tables.query(f"UPDATE text_data SET {change} WHERE text_id = {text_id}")


@ON_BOTH
def test_the_predictions_of_the_newest_classifier_acknowledge_it(unreceived, voted, logged):
    predict(voted, clf_id=2)

    assert unreceived.reconcile().due == "announce"

    assert announced(voted) == [True, True]
    assert [fields["clf_id"] for fields in logged.named("announcement.acknowledged")] == [2]
    assert not unreceived.is_announcement_pending(unreceived.reconcile().newest)


@ON_BOTH
@pytest.mark.parametrize(
    ("clf_id", "change"),
    [
        pytest.param(1, "taught = taught", id="another classifier's"),
        pytest.param(2, "uncertainty = NULL, predicted_label = NULL WHERE text_id = 3", id="one text is not scored"),
        pytest.param(2, "uncertainty = uncertainty + 0.0001 WHERE text_id = 3", id="another probability"),
        pytest.param(2, "predicted_label = 'c' WHERE text_id = 3", id="another label"),
    ],
)
def test_other_predictions_do_not_acknowledge_it(unreceived, voted, clf_id, change):
    predict(voted, clf_id)
    voted.query(f"UPDATE text_data SET {change}")

    assert unreceived.reconcile().due == "announce"

    assert announced(voted) == [False, False]


def test_a_classifier_that_was_changed_is_not_loaded_to_compare_predictions(unreceived, voted, logged):
    predict(voted, clf_id=2)
    voted.query("UPDATE classifiers SET clf = ? WHERE clf_id = 2", b"something else")

    assert unreceived.reconcile().due == "announce"

    [told] = logged.named("announcement.not_compared")
    assert "SHA-256" in told["error"]
    assert announced(voted) == [False, False]


def test_nothing_is_announced_before_there_is_a_classifier(project, voted, redis):
    voted.query("UPDATE text_data SET labels = '[]'")

    with predictor(redis) as heard:
        assert project.reconcile(init_received=True).due is None

    assert heard == []


def test_the_classifier_can_be_read_when_its_announcement_is_received(project, redis, voted):
    with predictor(redis) as heard:
        project.update()
        ids = voted.query("SELECT clf_id FROM classifiers")

    assert (heard, ids) == (["update"], [(1,)])


def test_a_run_succeeds_without_redis(voted, open_project, logged):
    project = open_project(voted, batch_size=4, redis_host="127.0.0.1", redis_port=free_port())

    result = project.update()

    assert result.run is not None
    assert result.run.status == "succeeded"
    assert announced(voted) == [False]
    assert len(logged.named("announcement.failed")) == 1
    assert project.reconcile().due is None  # the pause is not over, and Redis cannot say who listens
    assert project.is_announcement_pending(result.run)


def test_without_redis_configured_nothing_waits_to_be_announced(voted, open_project):
    project = open_project(voted, batch_size=4)

    project.update()

    assert project.reconcile().due is None


def test_a_listener_ends_quietly_when_its_project_is_closed(voted, redis, open_project):
    """As the worker does it when it stops: an exception in the listener's thread would fail this test."""
    for _ in range(5):
        project = open_project(voted, redis_host="127.0.0.1", redis_port=redis.port)
        stop, subscribed = threading.Event(), threading.Event()
        listener = threading.Thread(target=project.listen, args=(lambda _, heard=subscribed: heard.set(), stop))
        listener.start()
        assert subscribed.wait(DEADLINE_S)
        stop.set()
        project.close()
        listener.join(DEADLINE_S)
        assert not listener.is_alive()
