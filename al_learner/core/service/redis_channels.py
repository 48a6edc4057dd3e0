"""Redis: the channels `learner` and `predictor`, and the flag. The only module that knows redis.

Both of redis's own families of errors, ConnectionError and TimeoutError, cross only as ChannelError.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from al_learner.core.configuration.secrets import masked
from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import ChannelError, SettingsError
from al_learner.core.events import event

LEARNER = "learner"
"""Messages to the learner: `init` from db_helper, `update` from the API."""

PREDICTOR = "predictor"
"""Messages from the learner: `update`, after a classifier was committed."""

QUERY_FLAG = "queryFlag"
"""Unless it is `available`, the API hands out no text and drops votes."""

SOCKET_TIMEOUT_S = 5
PING_S = 5
SILENCE_S = 15
"""A subscription that has not answered a PING for so long is closed and opened again."""
RECONNECT_S = (0.1, 10.0)


class Channels:
    """A connection to Redis."""

    def __init__(self, settings: Settings) -> None:
        options: dict[str, Any] = {
            "socket_timeout": SOCKET_TIMEOUT_S,
            "socket_connect_timeout": SOCKET_TIMEOUT_S,
            "socket_keepalive": True,
            "retry": Retry(NoBackoff(), 1),  # an idle connection that was closed is replaced once
        }
        is_tls = settings.redis_url.startswith("rediss:") if settings.redis_url else settings.redis_tls
        if is_tls and settings.redis_ca_file:
            options["ssl_ca_certs"] = str(settings.redis_ca_file)
        if settings.redis_url:
            try:
                self._client = redis.Redis.from_url(settings.redis_url, **options)
                self._client.connection_pool.connection_kwargs["decode_responses"] = False  # payloads are bytes here
                self._client.connection_pool.make_connection()  # it refuses unknown options; nothing is connected
            except (TypeError, ValueError):  # their text may show a part of the URL
                problem = "one of the options after the ? is unknown, or has a wrong value"
                raise SettingsError([f"REDIS_URL = ***: {problem}"]) from None
        else:
            has_credentials = settings.redis_secret or settings.redis_username
            self._client = redis.Redis(
                host=settings.redis_host or "localhost",
                port=settings.redis_port,
                credential_provider=_Credentials(settings) if has_credentials else None,
                ssl=settings.redis_tls,
                **options,
            )
        self._is_closed = False
        self.is_subscribed = False
        """Whether messages on `learner` are received now."""

    def release_connections(self) -> None:
        """Close idle connections; that of a subscription is none."""
        self._client.connection_pool.disconnect(inuse_connections=False)

    def announce(self) -> int:
        """Tell the predictor to score every text again. Return the number of subscribers."""
        with _translated():
            return int(self._client.publish(PREDICTOR, "update"))

    def has_predictor(self) -> bool:
        """Whether the channel of announcements has a subscriber now."""
        with _translated():
            return any(count for _, count in self._client.pubsub_numsub(PREDICTOR))

    def is_available(self) -> bool:
        """Whether the API hands out texts and stores votes."""
        with _translated():
            return self._client.get(QUERY_FLAG) == b"available"

    def listen(self, on_message: Callable[[str], object], stop: threading.Event) -> None:
        """Subscribe to `learner` and call `on_message` with each payload, until `stop` is set.

        After every subscription, also a renewed one, `on_message` is called with an empty payload, because messages may
        have been missed. Blocks; run it in a thread of its own.
        """
        pause = RECONNECT_S[0]
        while not (stop.is_set() or self._is_closed):
            try:
                for payload in self._received(stop):
                    pause = RECONNECT_S[0]
                    on_message(payload)
            except ChannelError as exc:
                event("redis.lost", level=logging.WARNING, error=str(exc))
                stop.wait(random.uniform(pause / 2, pause))  # noqa: S311 - jitter, not a secret
                pause = min(2 * pause, RECONNECT_S[1])
            except ValueError:  # redis goes on reading in a connection that was closed meanwhile
                if not self._is_closed:
                    raise

    def _received(self, stop: threading.Event) -> Iterator[str]:
        """Subscribe, and yield an empty payload; then yield each payload until the subscription breaks."""
        try:
            with _translated(), self._client.pubsub() as subscription:  # type: ignore[no-untyped-call]  # redis leaves it untyped
                subscription.subscribe(LEARNER)
                for payload in _payloads(subscription, stop):
                    if not payload:
                        self.is_subscribed = True
                        event("redis.subscribed", channel=LEARNER)
                    yield payload
        finally:
            self.is_subscribed = False

    def close(self) -> None:
        """Close every connection; `listen` returns."""
        self._is_closed = True
        self._client.close()


class _Credentials(redis.CredentialProvider):
    """User and password of REDIS_HOST. Every connection reads the password's file again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        user, file = self._settings.redis_username, self._settings.redis_password_file
        try:
            password = self._settings.redis_secret or ""
        except (OSError, UnicodeDecodeError) as exc:
            raise redis.AuthenticationError(f"REDIS_PASSWORD_FILE = {file}: cannot be read: {exc}") from exc
        return (user, password) if user else (password,)


def _payloads(subscription: redis.client.PubSub, stop: threading.Event) -> Iterator[str]:
    received = pinged = time.monotonic()
    while not stop.is_set():
        message = subscription.get_message(timeout=0.5)
        if stop.is_set():  # redis subscribes again by itself when `close` cuts the connection
            return
        now = time.monotonic()
        if message is not None:
            received = now
            if message["type"] == "subscribe":
                yield ""
            elif message["type"] == "message":
                yield message["data"].decode("utf-8", "replace")
        elif now - received > SILENCE_S:
            raise ChannelError(f"Redis has not answered for {SILENCE_S} s")
        if now - pinged > PING_S:
            subscription.ping()
            pinged = now


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as exc:
        raise ChannelError(f"Redis: {type(exc).__name__}: {masked(str(exc))}") from exc
