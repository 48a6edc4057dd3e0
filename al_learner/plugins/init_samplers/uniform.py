"""Random texts, random labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from al_learner.core.interfaces import Codes, InitSampler


class Uniform(InitSampler):
    """Random texts, each with a random label."""

    def sample(
        self, texts: Sequence[str], labels: Sequence[str], size: int, rng: np.random.Generator
    ) -> tuple[Codes, list[str]]:
        picked = rng.integers(len(labels), size=size)
        if (picked == picked[0]).all():
            picked[-1] = (picked[0] + 1) % len(labels)
        return self.pick(len(texts), size, rng), [labels[code] for code in picked]
