"""The front door opens at once, and says what is behind it to people and type checkers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import spiketrain as st

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "two_arrays.py"

HEAVY = (
    "torch",
    "numpy",
    "pandas",
    "matplotlib",
    "brian2",
    "snntorch",
    "sklearn",
    "scipy",
    "numba",
    "pydantic",
)


def python(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=cwd, timeout=300
    )


def test_the_import_loads_nothing_heavy_and_takes_less_than_a_second() -> None:
    seen = f"print([m for m in {HEAVY} if m in sys.modules], time.process_time() < 1.0)"
    done = python("-c", f"import sys, time, spiketrain; {seen}")  # processor time: others may be at work
    assert done.stdout.strip() == "[] True", done.stderr


HELP = """
import sys
import spiketrain.cli
sys.argv = ["spiketrain", "--help"]
try:
    spiketrain.cli.main()
except SystemExit:
    print([m for m in {heavy} if m in sys.modules])
"""


def test_help_loads_nothing_heavy() -> None:
    assert python("-c", HELP.format(heavy=HEAVY)).stdout.splitlines()[-1] == "[]"


def test_every_name_is_there() -> None:
    for name in st.__all__:
        assert getattr(st, name) is not None, name
        assert name in dir(st)
    assert not hasattr(st, "nothing")


def test_a_short_script_goes_from_two_arrays_to_a_comparison(tmp_path: Path) -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 40
    done = python(str(EXAMPLE), str(tmp_path / "out"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    assert (out / "worst_chip.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert len(list((out / "nir").glob("chip-*.nir"))) == 4
    assert st.open(out / "run").accuracy.shape == (4,)
    assert "DFC" in done.stdout
    assert "read-out only" in done.stdout


WRONG = """
run.predict()
st.load("x").fit(epochs=3)
st.nothing
"""


@pytest.mark.parametrize(("more", "errors"), [("", 0), (WRONG, 3)])
def test_users_can_check_their_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, errors: int
) -> None:
    (tmp_path / "script.py").write_text(EXAMPLE.read_text(encoding="utf-8") + more, encoding="utf-8")
    # an editable installation hides from mypy where it lies; that of a wheel is found by itself
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    # strict, with what `make check` has found out about the libraries: without it this takes half a minute
    known = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    done = python("-m", "mypy", *known, "script.py", cwd=tmp_path)
    assert done.stdout.count("error:") == errors, done.stdout
