"""The interfaces of plug-ins, and the small types that they exchange.

A *strategy* is a frozen pydantic model: its fields are its parameters. Unknown, misspelt or out-of-range
parameters are refused, by name, when it is made. Training returns another object, the *artifact*. Artifacts are stored,
strategies are not.

Here live: one module for each kind of plug-in. No plug-in and nothing that runs one.
"""

from __future__ import annotations

from al_learner.core.interfaces.classifiers import Classifier, Estimator, LinearStart, ModelSelector, WeighsColumns
from al_learner.core.interfaces.init_samplers import IGNORED, SCANNED, InitSampler
from al_learner.core.interfaces.label_aggregators import LabelAggregator, Votes
from al_learner.core.interfaces.query_strategies import QueryStrategy, margins
from al_learner.core.interfaces.strategy import Codes, Labels, Strategy
from al_learner.core.interfaces.vectorizers import (
    SAMPLED_CHARACTERS,
    CountsWords,
    DocumentFrequency,
    NgramRange,
    Transformer,
    Vectorizer,
)
from al_learner.core.interfaces.word_vectors import (
    UsesWordVectors,
    WordVectors,
    is_known,
    package_folder,
    release_word_vectors,
    sha256,
)

__all__ = [
    "IGNORED",
    "SAMPLED_CHARACTERS",
    "SCANNED",
    "Classifier",
    "Codes",
    "CountsWords",
    "DocumentFrequency",
    "Estimator",
    "InitSampler",
    "LabelAggregator",
    "Labels",
    "LinearStart",
    "ModelSelector",
    "NgramRange",
    "QueryStrategy",
    "Strategy",
    "Transformer",
    "UsesWordVectors",
    "Vectorizer",
    "Votes",
    "WeighsColumns",
    "WordVectors",
    "is_known",
    "margins",
    "package_folder",
    "release_word_vectors",
    "sha256",
]
