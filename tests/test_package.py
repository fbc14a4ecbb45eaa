"""What is packed: an archive with everything, and a wheel that works outside the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from packing import layout

ROOT = Path(__file__).parents[1]
ROOMS = ("chips", "configs", "learning", "mismatch", "rate_bridge", "root", "spiking")

PACK = """
import sys
sys.path.insert(0, "packing")
import layout
folder = sys.argv[1]  # each of the two changes the arguments
layout.build_sdist(folder)
layout.build_wheel(folder)
"""

TRAIN = """
import spiketrain as st, numpy as np
x, y = np.random.default_rng(0).random((40, 64)), np.arange(40) % 10
small = {"simulator.name": "torch", "simulator.presentation_ms": 20, "simulator.window_ms": 20,
         "simulator.test_presentation_ms": 20, "simulator.test_window_ms": 20, "training.epochs": 1}
print(st.__file__, st.load("readout_lif", small).fit(x, y, test=(x, y)).accuracy.shape)
import configs, learning, mismatch, rate_bridge, root, spiking
print(configs.MINE, learning.MINE, mismatch.MINE, rate_bridge.MINE, root.MINE, spiking.MINE)
"""

EVERYTHING = """
import importlib, importlib.metadata, pkgutil
import learning  # the user's
import spiketrain
parts = [part.load() for part in importlib.metadata.distribution("spiketrain").entry_points]
names = [m.name for m in pkgutil.walk_packages(spiketrain.__path__, "spiketrain.")]
ours = [n for n in names if ".lava.runtime" not in n]  # that is for Lava's own interpreter
print(len(parts), len([importlib.import_module(n) for n in ours]))
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
    assert "spiketrain/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert f"Version: {citation['version']}" in metadata


@pytest.fixture(scope="module")
def installed(packed: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the wheel was installed into."""
    target = tmp_path_factory.mktemp("target")
    offline = ("--no-index", "--no-deps", "--quiet", "--target", str(target), str(packed[1]))
    done = run("-m", "pip", "install", *offline, cwd=target)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Return a folder with a script, beside packages of the user's that are called as our rooms are."""
    for room in ROOMS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("MINE = True")
    (tmp_path / "script.py").write_text(TRAIN)
    (tmp_path / "everything.py").write_text(EVERYTHING)
    return tmp_path


def test_the_wheel_takes_one_name_only(packed: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(packed[1]) as wheel:
        names = wheel.namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"spiketrain"}
    shipped = {path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.yaml")}
    assert {f"spiketrain/{name}" for name in shipped} <= set(names)


def test_installed_it_works_beside_folders_of_the_users_own(installed: Path, here: Path) -> None:
    done = run("script.py", cwd=here, path=installed)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(installed / "spiketrain" / "__init__.py"), "(4,)", *["True"] * 6]


def test_installed_every_part_and_module_is_found(installed: Path, here: Path) -> None:
    done = run("everything.py", cwd=here, path=installed)
    assert done.returncode == 0, done.stderr
    parts, modules = map(int, done.stdout.split())
    assert parts > 60
    assert modules > 300


def test_a_clone_says_which_file_hides_a_room_of_its(here: Path) -> None:
    done = run("-c", "import spiketrain", cwd=here, path=here)
    assert "ImportError" in done.stderr
    assert f"{here / 'root' / '__init__.py'} hides a package of that name" in done.stderr


def test_in_a_clone_a_room_is_one_module_under_two_names() -> None:
    first, second = import_module("learning.rule"), import_module("spiketrain.learning.rule")
    assert second is first
    assert first.__spec__ is not None
    assert first.__spec__.name == "learning.rule"
    assert import_module("spiketrain.spiking.simulators.torch") is import_module("spiking.simulators.torch")
    with pytest.raises(ModuleNotFoundError, match="nothing"):
        import_module("spiketrain.learning.nothing")


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        (
            "from learning.rule import (\n    Update,\n)",
            "from spiketrain.learning.rule import (\n    Update,\n)",
        ),
        (
            "if x:  # é\n    é = 1; from spiking import hdf5",
            "if x:  # é\n    é = 1; from spiketrain.spiking import hdf5",
        ),
        ("import spiking.network as n, os", "import spiketrain.spiking.network as n, os"),
        ("from .learning import x\nkey = 'mismatch.seed'", None),
        ("from learnings import x\nimport mismatched", None),
    ],
)
def test_what_a_wheel_imports(text: str, becomes: str | None) -> None:
    assert layout.moved(text, "a.py") == (becomes or text)


@pytest.mark.parametrize("text", ["import spiking.network", "f('spiking.simulators.compiled.lif')"])
def test_what_would_not_hold_in_a_wheel_does_not_become_one(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ValueError, match=r"a\.py:1: .*spiking"):
        layout.moved(text, "a.py")
