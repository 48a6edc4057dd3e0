"""Models of model2vec: of a folder, or of the Hugging Face hub. The only module that knows model2vec."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.errors import SettingsError
from al_learner.core.interfaces import WordVectors, is_known, package_folder, sha256

if TYPE_CHECKING:
    from model2vec import StaticModel

FOLDERS = ("", "0_StaticEmbedding")
VECTORS, TOKENIZER = "model.safetensors", "tokenizer.json"
CONFIGURATIONS = ("config.json", "config_sentence_transformers.json")
"""The files of a model: vectors and tokenizer beside each other in one of the folders, and a configuration."""


class _Static(WordVectors):
    languages: ClassVar[tuple[str, ...]] = ()
    licence: ClassVar[str] = "NOASSERTION"

    def vectors(self, words: Sequence[str]) -> NDArray[np.float32]:
        model = _model(self._folder())
        if not words:
            return np.zeros((0, model.dim), np.float32)
        # By default it starts a thread on every core.
        return model.encode(list(words), use_multiprocessing=False).astype(np.float32)

    def known(self, words: Sequence[str]) -> NDArray[np.bool_]:
        encoded = _model(self._folder()).tokenizer.encode_batch(list(words), add_special_tokens=False)
        return np.array([is_known(word.tokens) for word in encoded], bool)

    def digest(self) -> str:
        return sha256(*_files(self._folder()))

    def release(self) -> None:
        _model.cache_clear()

    @abstractmethod
    def _folder(self) -> Path:
        """Return a folder that contains a model."""


class Model2Vec(_Static):
    """A model2vec model from a folder. Nothing is downloaded.

    References
    ----------
    Tulkens and van Dongen (2024). Model2Vec: Fast State-of-the-Art Static Embeddings.
    https://doi.org/10.5281/zenodo.17270888
    """

    provenance: ClassVar[str] = "The model in the folder; its README.md says where it comes from."

    folder: str = Field(description="Folder with a model, as StaticModel.save_pretrained writes it.")

    def _folder(self) -> Path:
        # StaticModel.from_pretrained takes a folder that does not exist for a name on the hub, and downloads it.
        package_folder("model2vec", "model2vec")
        folder = Path(self.folder).absolute()
        if not folder.is_dir():
            raise SettingsError([f"word vectors model2vec:{self.folder}: there is no folder {folder}"])
        if not _has_model(folder):
            files = f"{VECTORS}, {TOKENIZER} and {CONFIGURATIONS[0]}"
            problem = f"word vectors model2vec:{self.folder}: {folder} contains no model of model2vec, which is {files}"
            raise SettingsError([problem])
        return folder


class Model2VecHub(_Static):
    """A model2vec model from the Hugging Face hub. It is downloaded unless the hub's cache on this machine has it."""

    provenance: ClassVar[str] = "The model of that name on https://huggingface.co; its page says where it comes from."

    name: str = Field(description="Name of the model on the hub, as OWNER/NAME.")

    def _folder(self) -> Path:
        package_folder("model2vec", "model2vec")
        from huggingface_hub import snapshot_download  # it may be missing
        from huggingface_hub.errors import LocalEntryNotFoundError

        patterns = [f"{folder}/{name}".lstrip("/") for folder in FOLDERS for name in (VECTORS, TOKENIZER)]
        download = partial(snapshot_download, self.name, allow_patterns=[*patterns, *CONFIGURATIONS])
        try:
            with suppress(LocalEntryNotFoundError):
                if _has_model(folder := Path(download(local_files_only=True))):
                    return folder
            folder = Path(download())
        except Exception as exc:  # of the network, of the file system, and the hub's own
            advice = "check the name, which is OWNER/NAME; where there is no network, use a copy, as model2vec:FOLDER"
            problem = f"word vectors model2vec-hub:{self.name} cannot be downloaded: {advice}"
            reason = " ".join(str(exc).split())
            raise SettingsError([f"{problem} ({type(exc).__name__}: {reason})"]) from exc
        if not _has_model(folder):
            raise SettingsError([f"word vectors model2vec-hub:{self.name}: that is not a model of model2vec"])
        return folder


def _files(folder: Path) -> list[Path]:
    """Return what there is of a model's files."""
    names = (VECTORS, TOKENIZER, *CONFIGURATIONS)
    return [file for sub in FOLDERS for name in names if (file := folder / sub / name).is_file()]


def _has_model(folder: Path) -> bool:
    return {VECTORS, TOKENIZER} <= {file.name for file in _files(folder)}


@cache
def _model(folder: Path) -> StaticModel:
    from model2vec import StaticModel  # it may be missing

    try:
        return StaticModel.from_pretrained(folder)
    except Exception as exc:  # a damaged file: of JSON, of safetensors, of tokenizers, or its own
        raise SettingsError([f"no model2vec model in {folder}: {type(exc).__name__}: {exc}"]) from exc
