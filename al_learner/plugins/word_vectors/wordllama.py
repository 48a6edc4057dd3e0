"""The vectors of WordLlama. Reads its files: importing it sets up logging, and it looks for them in a wrong folder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from al_learner.core.errors import SettingsError
from al_learner.core.interfaces import WordVectors, is_known, package_folder, sha256

BLOCK = 4_096
"""Words at a time, which bounds the memory."""


class WordLlama(WordVectors):
    """WordLlama: 256 numbers a word, English. The mean of the vectors of a word's tokens.

    References
    ----------
    Miller (2024). WordLlama: recycled token embeddings from large language models.
    https://github.com/dleemiller/wordllama
    """

    languages: ClassVar[tuple[str, ...]] = ("en",)
    licence: ClassVar[str] = "MIT"
    provenance: ClassVar[str] = (
        "Trained from the token tables of LLaMA 2 and phi-3; the file l2_supercat_256 of the package wordllama."
    )

    def vectors(self, words: Sequence[str]) -> NDArray[np.float32]:
        tokenizer, table = _model(*_files())
        found = np.zeros((len(words), table.shape[1]), np.float32)
        for start in range(0, len(words), BLOCK):
            encoded = tokenizer.encode_batch(list(words[start : start + BLOCK]), add_special_tokens=False)
            n_tokens = np.fromiter((len(word.ids) for word in encoded), np.intp, len(encoded))
            if not n_tokens.any():
                continue
            tokens = np.concatenate([np.asarray(word.ids, np.intp) for word in encoded])
            has_tokens = np.flatnonzero(n_tokens)
            begins = (np.cumsum(n_tokens) - n_tokens)[has_tokens]
            sums = np.add.reduceat(table[tokens].astype(np.float32), begins)
            found[start + has_tokens] = sums / n_tokens[has_tokens, None].astype(np.float32)
        return found

    def known(self, words: Sequence[str]) -> NDArray[np.bool_]:
        tokenizer, _ = _model(*_files())
        encoded = tokenizer.encode_batch(list(words), add_special_tokens=False)
        return np.array([is_known(word.tokens) for word in encoded], bool)

    def digest(self) -> str:
        return sha256(*_files())

    def release(self) -> None:
        _model.cache_clear()


def _files() -> tuple[Path, Path]:
    """Return the files of the tokenizer and of the vectors."""
    folder = package_folder("wordllama", "wordllama")
    tokenizer = folder / "tokenizers" / "l2_supercat_tokenizer_config.json"
    vectors = folder / "weights" / "l2_supercat_256.safetensors"
    for file in (tokenizer, vectors):
        if not file.is_file():
            raise SettingsError([f"there is no {file}: install the version of wordllama that constraints.txt names"])
    return tokenizer, vectors


@cache
def _model(tokenizer: Path, vectors: Path) -> tuple[Any, NDArray[np.float16]]:
    """Return the tokenizer, and the vectors of the tokens, of shape (n_tokens, 256)."""
    from safetensors import safe_open  # both may be missing
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(tokenizer))
    made.no_padding()
    made.no_truncation()
    with safe_open(vectors, framework="numpy") as opened:
        return made, opened.get_tensor("embedding.weight")
