"""The worker of an installation whose new projects have the vectorizer that ``OTHER_VECTORIZER`` names."""

from __future__ import annotations

import os
import sys

from al_learner import worker
from al_learner.core.configuration import defaults


def main() -> int:
    other = {**defaults.of_new_project(), "vectorizer": os.environ["OTHER_VECTORIZER"]}
    defaults.of_new_project = lambda: other  # type: ignore[assignment]  # what this installation differs in
    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
