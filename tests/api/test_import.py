"""The front door opens at once, and says what is behind it to people and type checkers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import spiketrain as st

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
EXAMPLE = EXAMPLES / "two_arrays.py"

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


def test_an_experiment_of_objects_runs(tmp_path: Path) -> None:
    done = python(str(EXAMPLES / "objects.py"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "without mismatch" in done.stdout
    assert "<run of readout_only on arrays" in done.stdout


WRONG = """
run.predict()
st.load("x").fit(epochs=3)
st.nothing
"""

WRONG_OBJECTS = """
st.Network(["16", 3], lif)
st.Network([16, 3], st.Normal(cv=0.2))
st.Training(epochs=1, batch=16)
st.Connection("input", "output", lif)
st.build(network=graph, rule=dfc, training=st.Training(1, 2, 3.0))
"""


@pytest.mark.parametrize(("more", "objects", "errors"), [("", "", 0), (WRONG, WRONG_OBJECTS, 8)])
def test_users_can_check_their_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, objects: str, errors: int
) -> None:
    for file, name, wrong in ((EXAMPLE, "script.py", more), (EXAMPLES / "objects.py", "objects.py", objects)):
        (tmp_path / name).write_text(file.read_text(encoding="utf-8") + wrong, encoding="utf-8")
    # an editable installation hides from mypy where it lies; that of a wheel is found by itself
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    # strict, with what `make check` has found out about the libraries: without it this takes half a minute
    known = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    done = python("-m", "mypy", *known, "script.py", "objects.py", cwd=tmp_path)
    assert done.stdout.count("error:") == errors, done.stdout
