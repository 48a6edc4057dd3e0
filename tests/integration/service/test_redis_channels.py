"""The subscription, at moments that are rare."""

from __future__ import annotations

import threading

from al_learner.core.service.redis_channels import _payloads


def test_what_comes_while_the_listener_is_told_to_stop_is_not_delivered(redis, monkeypatch):
    stop = threading.Event()
    with redis.client() as client, client.pubsub() as subscription:
        subscription.subscribe("learner")
        get_message = subscription.get_message

        def get_message_and_stop(**options):
            message = get_message(**options)
            stop.set()
            return message

        monkeypatch.setattr(subscription, "get_message", get_message_and_stop)

        assert [*_payloads(subscription, stop)] == []
