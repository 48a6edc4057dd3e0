import pytest

from tests.support.tiny_vectors import Tiny


@pytest.fixture(autouse=True)
def _word_vectors(monkeypatch):
    """Let every source be a tiny one, whichever are installed."""
    monkeypatch.setattr("al_learner.core.registry.word_vectors", lambda _source: Tiny())
