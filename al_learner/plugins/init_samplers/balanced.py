"""Random texts, all labels equally often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from al_learner.core.interfaces import Codes, InitSampler


class Balanced(InitSampler):
    """Random texts. All labels occur equally often, in random order, so there are as many classes as possible."""

    def sample(
        self, texts: Sequence[str], labels: Sequence[str], size: int, rng: np.random.Generator
    ) -> tuple[Codes, list[str]]:
        dealt = self.deal(labels, size, rng)
        return self.pick(len(texts), size, rng), dealt
