"""A small model of model2vec, on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

WORDS = ("[UNK]", "good", "bad", "weather", "compiler")


def save_model(folder: Path, n_dims: int = 4) -> Path:
    """Save a model that knows `WORDS`, each with a vector of its own, and return its folder."""
    from model2vec import StaticModel  # heavy, as the next one
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({word: row for row, word in enumerate(WORDS)}, unk_token=WORDS[0]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    StaticModel(np.eye(len(WORDS), n_dims, -1, dtype=np.float16), tokenizer).save_pretrained(folder)
    return folder


def cache_model(cache: Path, name: str) -> Path:
    """Save the model as the hub's client keeps what it has downloaded under a name, and return its folder."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    return save_model(repository / "snapshots" / ("0" * 40))
