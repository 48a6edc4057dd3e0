"""What ``pip install`` brings, seen from an environment that holds nothing else of ours."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.xdist_group("wheel")  # one process makes the environment, for all of them


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the built wheel; what it depends on is borrowed from this one, but not al_learner."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT], check=True)
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    wheel = next(folder.glob("al_learner-*.whl"))
    subprocess.run([*pip, "--python", python, "install", "--no-deps", wheel], check=True)
    packages = next((folder / "venv" / "lib").glob("python*/site-packages"))
    for borrowed in Path(sysconfig.get_path("purelib")).iterdir():
        # Editable installs (.pth files) stay behind: al_learner comes from the wheel alone.
        if borrowed.suffix != ".pth" and not borrowed.name.startswith(("al_learner", "__editable__")):
            target = packages / borrowed.name
            if not target.exists():
                target.symlink_to(borrowed)
    return folder / "venv"


def test_the_wheel_brings_the_command_and_everything_that_the_demo_reads(environment: Path, tmp_path: Path) -> None:
    where = [environment / "bin" / "python", "-c", "import al_learner; print(al_learner.__file__)"]
    assert subprocess.check_output(where, cwd=tmp_path, text=True).startswith(str(environment))

    demo = [environment / "bin" / "al-learner", "demo", "--rounds", "1"]
    played = subprocess.run(demo, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)

    assert played.returncode == 0, played.stderr
    assert "2,384 package descriptions" in played.stdout


def test_the_wheel_is_typed(environment: Path) -> None:
    assert list(environment.glob("lib/python*/site-packages/al_learner/py.typed"))


def test_help_loads_nothing_heavy(environment: Path, tmp_path: Path) -> None:
    listed = """
import sys
from al_learner.cli import main
sys.argv = ["al-learner", "--help"]
try:
    main()
finally:
    print(*sys.modules)
"""
    shown = subprocess.check_output([environment / "bin" / "python", "-c", listed], cwd=tmp_path, text=True)

    assert not {"sklearn", "scipy", "numpy", "sqlalchemy", "redis", "stevedore"} & {*shown.split()}
