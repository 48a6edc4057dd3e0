"""Which versions must be the same in a cluster."""

from __future__ import annotations

import sys

from al_learner.core.cluster.transport.versions import difference, versions


def test_the_last_number_of_python_may_differ():
    assert versions()["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"


def test_only_what_differs_is_named():
    assert difference(versions()) == ""
    assert difference({**versions(), "numpy": "0.1"}) == f"has numpy {versions()['numpy']}, not 0.1"
