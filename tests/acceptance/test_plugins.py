"""A plug-in from its beginning: the package that `plugins new` writes installs, is found, and keeps its promises."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, blocks

KINDS = {
    "classifier": "BernoulliNB", "vectorizer": "CountVectorizer", "init-sampler": "pick", "label-aggregator": "_winner",
    "query-strategy": "scores", "word-vectors": "digest",
}  # fmt: skip


@pytest.fixture
def program(forked_command):
    return str(forked_command / "al-learner")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_begun_keeps_the_promises_of_its_interface(program, tmp_path, kind):
    made = subprocess.run(
        [program, "plugins", "new", "my-own", "--kind", kind], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert "al-learner plugins check my-own" in made.stdout
    package = tmp_path / "al-learner-my-own"
    assert KINDS[kind] in (package / "src/al_learner_my_own/__init__.py").read_text(encoding="utf-8")
    test = "from al_learner_my_own import MyOwn\nfrom al_learner import check_plugin\ncheck_plugin(MyOwn())"
    subprocess.run([sys.executable, "-c", test], check=True, env={**os.environ, "PYTHONPATH": str(package / "src")})


@pytest.mark.parametrize("editable", [True, False], ids=["editable", "wheel"])
def test_the_package_installs_and_is_found_by_its_name(program, tmp_path, editable):
    subprocess.run([program, "plugins", "new", "my-own"], cwd=tmp_path, check=True, capture_output=True)
    package = tmp_path / "al-learner-my-own"
    # An artifact of its own class, which needs the package itself.
    code = package / "src/al_learner_my_own/__init__.py"
    text = code.read_text(encoding="utf-8")
    own = '    requires = ("al-learner-my-own", "scikit-learn", "numpy", "scipy")\n\n    alpha: float'
    text = text.replace("    alpha: float", own).replace("BernoulliNB(alpha", "Own(alpha")
    text = text.replace("import BernoulliNB  #", "import BernoulliNB  # noqa: F401")
    code.write_text(
        f"{text}\n\nfrom sklearn.naive_bayes import BernoulliNB\n\n\nclass Own(BernoulliNB):\n    pass\n",
        encoding="utf-8",
    )
    python = _environment(tmp_path / "venv")
    _install(python, package, editable=editable)
    run = [python, "-c", "from al_learner.cli import main; main()", "plugins"]
    checked = subprocess.run([*run, "check", "my-own"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (
        0, "classifier my-own keeps all promises of its interface\n"
    ), checked.stderr  # fmt: skip
    shown = subprocess.run([*run, "show", "my-own"], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("classifier my-own, from al-learner-my-own 0.1.0")


def _install(python: Path, package: Path, *, editable: bool) -> None:
    how = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", *(["--editable"] if editable else [])]
    command = [sys.executable, "-m", "pip", "--python", python, "install", *how, package]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _environment(folder: Path) -> Path:
    """Make a virtual environment that also has the packages of this one. Return its Python."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    here = Path(str(distribution("pytest").locate_file("")))
    (site_packages / "here.pth").write_text(f"import site; site.addsitedir({str(here)!r})\n", encoding="utf-8")
    return folder / "bin" / "python"


def test_the_package_of_the_page_installs_and_is_found_by_its_name(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    for block in blocks(DOCS / "how-to" / "write-a-plugin.md"):
        if block.title in ("nearest.py", "pyproject.toml"):
            (package / block.title).write_text(block.body, encoding="utf-8")
    python = _environment(tmp_path / "venv")
    _install(python, package, editable=True)  # as the page does it
    run = [python, "-c", "from al_learner.cli import main; main()", "plugins", "check", "nearest"]
    checked = subprocess.run(run, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert checked.stdout == "classifier nearest keeps all promises of its interface\n", checked.stderr
    assert checked.stderr.startswith("warning: ")  # it cannot weigh rows


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["new", "My Plugin"], "name 'My Plugin': write small letters, digits and hyphens"),
        (["new", "logreg"], "classifier 'logreg' is there already; choose another name"),
        (["new", "mine", "--folder", "."], ". is there already; give another place with --folder"),
        (["new", "mine", "--folder", "/proc/x"], "/proc/x: No such file or directory"),
        (["check", "logregg"], "plug-in 'logregg' is unknown"),
        (["check", "logreg(C=0)"], "classifier 'logreg': C = 0: Input should be greater than 0"),
    ],
)
def test_what_cannot_be_done_says_why(program, tmp_path, arguments, says):
    done = subprocess.run([program, "plugins", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert says in done.stderr


def test_a_broken_promise_is_named(tmp_path):
    info = tmp_path / "careless-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: careless\nVersion: 0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[al_learner.classifiers]\ncareless = careless:Careless\n", encoding="utf-8")
    (tmp_path / "careless.py").write_text(
        "from al_learner import Classifier\n\n\nclass Careless(Classifier):\n    '''Careless.'''\n\n"
        "    def fit(self, X, y):\n        from sklearn.naive_bayes import BernoulliNB\n\n"
        "        X.data *= 2\n        return BernoulliNB().fit(X, y)\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-c", "from al_learner.cli import main; main()", "plugins", "check", "careless"],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "classifier Careless() fails check_training_data_is_not_changed: fit changes X" in done.stderr
