"""What is packed: an archive with everything, and a wheel that works outside the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]

PACK = """
import sys
from setuptools import build_meta
folder = sys.argv[1]  # each of the two changes the arguments
build_meta.build_sdist(folder)
build_meta.build_wheel(folder)
"""

TRAIN = """
import spiketrain as st, numpy as np
x, y = np.random.default_rng(0).random((40, 64)), np.arange(40) % 10
small = {"simulator.name": "torch", "simulator.presentation_ms": 20, "simulator.window_ms": 20,
         "simulator.test_presentation_ms": 20, "simulator.test_window_ms": 20, "training.epochs": 1}
print(st.__file__, st.load("readout_lif", small).fit(x, y, test=(x, y)).accuracy.shape)
"""


def run(*arguments: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the source archive and the wheel, made of what git knows."""
    folder = tmp_path_factory.mktemp("package")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name)
    done = run("-c", PACK, str(folder), cwd=folder / "source")
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


def test_the_archive_holds_everything(packed: tuple[Path, Path]) -> None:
    with tarfile.open(packed[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = ("CHANGELOG.md", "CITATION.cff", "LICENSE", "docs/guide.md", "docs/examples/two_arrays.py")
    tests = ("tests/test_package.py", "tests/golden", "benchmarks", "configs/dfc_lif.yaml", "Makefile")
    assert {*wanted, *tests} <= names


def test_the_wheel_says_what_it_is(packed: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(packed[1]) as wheel:
        names = wheel.namelist()
        metadata = next(wheel.read(name).decode() for name in names if name.endswith("METADATA"))
    for line in ("License-Expression: MIT", "Typing :: Typed", "Description-Content-Type: text/markdown"):
        assert line in metadata
    for room in ("spiketrain", "spiking", "rate_bridge", "learning", "mismatch"):
        assert f"{room}/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert f"Version: {citation['version']}" in metadata


def test_the_wheel_works_elsewhere_beside_a_folder_configs(packed: tuple[Path, Path], tmp_path: Path) -> None:
    target, here = tmp_path / "target", tmp_path / "here"
    offline = ("--no-index", "--no-deps", "--quiet", "--target", str(target), str(packed[1]))
    installed = run("-m", "pip", "install", *offline, cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    (here / "configs").mkdir(parents=True)
    (here / "configs" / "__init__.py").write_text("raise SystemExit('the wrong configs')")
    (here / "script.py").write_text(TRAIN)
    done = run("script.py", cwd=here, path=target)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(target / "spiketrain" / "__init__.py"), "(4,)"]

    (here / "learning.py").write_text("")  # a module of the user's hides a room: said at once, and by name
    done = run("script.py", cwd=here, path=target)
    assert "ImportError" in done.stderr
    assert f"{here / 'learning.py'} hides a package of that name" in done.stderr
