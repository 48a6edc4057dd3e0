import pickle
import pickletools
import sys
import tracemalloc
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from al_learner.core.artifacts import pickling, signatures
from al_learner.core.errors import ArtifactError, UntrustedError
from al_learner.core.registry import strategy

READERS_HAVE = ("scikit-learn", "numpy", "scipy")
MIB = 2**20

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


class OfThisModule:
    pass


class Unloadable(list):
    def __reduce__(self):
        return list, ("ab", "too", "many")


class TouchesAFile:
    def __reduce__(self):
        return Path.touch, (Path("it-was-unpickled"),)


@given(PLAIN)
def test_what_is_dumped_is_loaded(value):
    blob = pickling.dump(value, READERS_HAVE)

    assert pickling.load(blob, pickling.sha256(blob)) == value


def test_pickles_are_of_a_protocol_that_every_python_of_a_neighbour_reads():
    opcode, protocol, _ = next(pickletools.genops(pickling.dump("text", READERS_HAVE)))

    assert (opcode.name, protocol) == ("PROTO", 4)


@given(st.data(), PLAIN)
def test_no_changed_byte_goes_unnoticed(data, value):
    blob = bytearray(pickling.dump(value, READERS_HAVE))
    digest = pickling.sha256(bytes(blob))
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= data.draw(st.integers(1, 255))

    with pytest.raises(UntrustedError, match="changed"):
        pickling.load(bytes(blob), digest)


@pytest.mark.parametrize(
    ("digest", "reason"),
    [
        pytest.param(None, "al_learner did not store it", id="no record of ours"),
        pytest.param(pickling.sha256(b"another"), "changed", id="another's digest"),
        pytest.param("", "changed", id="an empty digest"),
    ],
)
def test_what_is_not_ours_is_refused_before_any_of_it_is_unpickled(digest, reason):
    blob = pickle.dumps(TouchesAFile())

    with pytest.raises(UntrustedError, match=reason):
        pickling.load(blob, digest)
    assert not Path("it-was-unpickled").exists()

    pickling.load(blob, pickling.sha256(blob))
    assert Path("it-was-unpickled").exists()


def test_a_blob_of_ours_that_other_versions_wrote_is_refused_with_the_reason():
    blob = b"csklearn.linear_model\nGoneSinceThen\n."

    with pytest.raises(UntrustedError, match="GoneSinceThen"):
        pickling.load(blob, pickling.sha256(blob))


@pytest.mark.parametrize(
    ("artifact", "packages", "names"),
    [
        pytest.param(OfThisModule(), READERS_HAVE, ["OfThisModule"], id="a class of the test module"),
        pytest.param([{"deep": OfThisModule}], READERS_HAVE, ["OfThisModule"], id="a class inside"),
        pytest.param(strategy("classifier", "logreg"), READERS_HAVE, ["LogReg"], id="a strategy"),
        pytest.param(csr_matrix((1, 1)), ("numpy",), ["scipy", "have only numpy"], id="a package they lack"),
        pytest.param(lambda: None, READERS_HAVE, ["function", "cannot be pickled"], id="a lambda"),
        pytest.param(Unloadable(), READERS_HAVE, ["Unloadable", "cannot be loaded"], id="what cannot be loaded again"),
    ],
)
def test_what_readers_cannot_load_is_not_stored(artifact, packages, names):
    with pytest.raises(ArtifactError) as caught:
        pickling.dump(artifact, packages)

    for name in names:
        assert name in str(caught.value)


def test_a_pickle_is_stored_up_to_its_limit_and_not_a_byte_beyond():
    exact = len(pickling.dump(bytes(1000), ())) / MIB

    assert pickling.dump(bytes(1000), (), max_mib=exact)
    with pytest.raises(ArtifactError, match="AL_LEARNER_MAX_ARTIFACT_MIB"):
        pickling.dump(bytes(1001), (), max_mib=exact)


def test_postgresql_compresses_a_large_pickle_only_if_that_makes_it_much_smaller():
    coefficients = np.random.default_rng(0).normal(size=(50, 1000)).astype(np.float32)

    def is_compressed(artifact, **limits):
        blob = pickling.dump(artifact, READERS_HAVE, **limits)
        np.testing.assert_equal(pickling.load(blob, pickling.sha256(blob)), artifact)
        return not blob.startswith(pickling.INCOMPRESSIBLE)

    assert not is_compressed(coefficients)
    assert not is_compressed([np.zeros(2_000), coefficients])
    assert is_compressed([f"word {number}" for number in range(50_000)])
    assert is_compressed(coefficients[:1])  # it is small
    exact = (len(pickling.dump(coefficients, READERS_HAVE)) - 1) / MIB
    assert is_compressed(coefficients, max_mib=exact)  # there is no room for more


def test_a_pickle_that_is_too_large_is_never_held_in_memory():
    artifact = [np.full(MIB, value, np.uint8) for value in range(64)]
    tracemalloc.start()
    try:
        with pytest.raises(ArtifactError, match="AL_LEARNER_MAX_ARTIFACT_MIB = 8: "):
            pickling.dump(artifact, ("numpy",), max_mib=8)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 24 * MIB  # the limit, once in the pickler and once in the file


@pytest.mark.parametrize("packages", [("numpy", "scipy"), ("NumPy", "SciPy")])
def test_what_readers_can_load_is_stored_however_they_spell_their_packages(packages):
    assert pickling.dump(csr_matrix((1, 1)), packages)


def test_a_package_that_is_installed_for_development_is_known_by_its_name():
    assert pickling.dump(strategy("classifier", "logreg"), ("al-learner", "pydantic", "pydantic-core"))


def test_code_of_the_standard_library_is_every_readers():
    assert pickling.dump(Path("p"), ())


@given(st.text(), st.text(), st.binary(), st.binary())
def test_a_signature_holds_for_one_key_one_project_and_one_model(key, project, clf, countvec):
    clf, countvec = pickling.sha256(clf), pickling.sha256(countvec + b"!")
    signature = signatures.signature(key, project, 1, clf, 2, countvec)

    assert signature == signatures.signature(key, project, 1, clf, 2, countvec)
    others = {
        signatures.signature(key + "!", project, 1, clf, 2, countvec),
        signatures.signature(key, project + "!", 1, clf, 2, countvec),
        signatures.signature(key, project, 2, clf, 2, countvec),
        signatures.signature(key, project, 1, clf, 1, countvec),
        signatures.signature(key, project, 1, countvec, 2, clf),
        signatures.signature(key, project, 1, clf, 2, clf),
        signatures.signature(key, project, 1, countvec, 2, countvec),
    }
    assert signature not in others
    assert signature != signatures.signature_v1(key, clf, countvec)


def test_signatures_that_were_stored_stay_valid():
    digests = pickling.sha256(b"clf"), pickling.sha256(b"countvec")
    v1 = "9bb95eb4745d9b984a346cbd1669e8e57fcdb1292e3598b2bba61361022cd31e"
    v2 = "v2:a68fb06e29e8777b2d360b74177648ec4718b0e511db192ef08f4bcabc359441"

    assert signatures.signature_v1("key", *digests) == v1
    assert signatures.signature("key", "project", 7, digests[0], 3, digests[1]) == v2


@given(st.text(), st.none() | st.text())
def test_only_the_same_signature_goes_whatever_was_stored(expected, found):
    assert signatures.is_same(expected, expected)
    assert signatures.is_same(expected, found) == (expected == (found or ""))


def test_versions_are_those_that_are_installed():
    versions = pickling.versions({"scikit-learn", "numpy"})

    assert list(versions) == ["python", "numpy", "scikit-learn"]
    assert versions["python"] == "{}.{}.{}".format(*sys.version_info)
    assert versions["numpy"] == version("numpy")
