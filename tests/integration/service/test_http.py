"""What the worker answers over HTTP about states that are rare."""

from __future__ import annotations

import json
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from al_learner.core.service.http import LOCKED_S, Vitals, serve
from tests.support.servers import free_port


@pytest.mark.parametrize(("locked_s", "status"), [(LOCKED_S - 1, 200), (LOCKED_S + 1, 503)])
def test_a_run_that_waits_long_for_locked_rows_makes_the_worker_unhealthy(locked_s, status):
    port = free_port()
    vitals = Vitals(
        runs={}, last_run_s=None, last_success=None, unacknowledged_s=0, is_subscribed=None, rows_locked_s=locked_s
    )
    serve(port, vitals=lambda: vitals, new_samples=lambda: 0, is_alive=lambda: True, is_superseded=lambda: False)

    def get(path):
        try:
            with urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                return answer.status, answer.read().decode()
        except HTTPError as exc:
            return exc.code, exc.read().decode()

    assert (get("/healthz")[0], json.loads(get("/healthz")[1])["rows_free"]) == (status, status == 200)
    assert get("/livez")[0] == 200
    assert f"al_learner_rows_locked_seconds {locked_s}" in get("/metrics")[1]
