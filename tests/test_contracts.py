"""The rooms keep apart: the contracts hold, and they would notice."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("spiketrain", "spiking", "rate_bridge", "root", "learning", "mismatch", "chips")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

VIOLATIONS = {
    "root/errors.py": "import rate_bridge.filters",
    "root/seeds.py": "import torch",
    "rate_bridge/decoding.py": "import spiking.network",
    "rate_bridge/filters.py": "import scipy.signal",
    "spiking/network.py": "import mismatch.spec",
    "spiking/simulators/torch.py": "import brian2",
    "mismatch/chip.py": "import learning.rule",
    "learning/rule.py": "import spiking.hardware",
    "learning/model.py": "from spiking.simulators.torch import TorchSimulator",
    "learning/stimulus.py": "import mismatch.oracle",
    "learning/losses.py": "import chips.base",
    "chips/base.py": "import spiking.hardware",
    "chips/card.py": "from mismatch.chip import ChipPopulation",
    "spiketrain/cli.py": "import mismatch.oracle",
    "spiketrain/config/design.py": "import spiketrain.config.checks",
    "spiking/connections/dense.py": "import spiking.connections.recurrent",
    "spiketrain/record/run.py": "from spiketrain.report import write",
}
"""Where somebody might break a contract, and how."""


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [str(lint_imports), "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_contracts_hold() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


def test_the_contracts_notice(copy: Path) -> None:
    assert lint(copy).returncode == 0
    for name, line in VIOLATIONS.items():
        module = copy / name
        text = module.read_text(encoding="utf-8")
        module.write_text(f"{text}\n{line}\n", encoding="utf-8")
        assert lint(copy).returncode == 1, (name, line)
        module.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("room", ["spiking", "spiking.simulators.torch", "learning.rule", "mismatch.chip"])
def test_a_room_does_not_bring_simulator_libraries(room: str) -> None:
    heavy = {"brian2", "lava", "snntorch", "matplotlib", "sklearn", "pandas", "numba"}
    code = f"import sys, {room}; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_registered_part_exists() -> None:
    for group, parts in PROJECT["project"]["entry-points"].items():
        for name, value in parts.items():
            module, _, attribute = value.partition(":")
            path = ROOT / Path(*module.split("."))
            files = [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]
            assert files, (group, name)
            assert attribute in files[0].read_text(encoding="utf-8"), (group, name)


def test_what_is_installed_is_what_is_declared() -> None:
    """An environment that is older than pyproject.toml is set up anew by ``make setup``."""
    for group, parts in PROJECT["project"]["entry-points"].items():
        installed = {point.name: point.value for point in entry_points(group=group)}
        assert parts.items() <= installed.items(), group


def test_every_config_is_packaged() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["*"]
    packaged = {path for pattern in patterns for path in (ROOT / "configs").glob(pattern)}
    assert packaged >= set((ROOT / "configs").rglob("*.yaml"))
