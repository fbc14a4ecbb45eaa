"""SLURM without a cluster: its commands are scripts here that start what they are given."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from root.errors import InputError
from spiketrain.allocator import kept_from_the_start
from spiketrain.studies.engine import DaskEngine

SBATCH = """#!{python}
import pathlib, shutil, subprocess, sys
place = pathlib.Path(__file__).parent
kept = place / "job.sh"
shutil.copy(sys.argv[-1], kept)
log = open(place / "job.log", "w")
streams = dict(stdin=subprocess.DEVNULL, stdout=log, stderr=log)
job = subprocess.Popen(["bash", str(kept)], start_new_session=True, **streams)
print("Submitted batch job", job.pid)
"""
SCANCEL = """#!{python}
import os, signal, sys
for job in sys.argv[1:]:
    try:
        os.killpg(int(job), signal.SIGTERM)
    except ProcessLookupError:
        pass
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with ``sbatch`` and ``scancel`` on the path; the job's script is kept in it."""
    pytest.importorskip("dask_jobqueue", reason="the slurm extra is not installed")
    import dask  # noqa: PLC0415

    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (folder / name).write_text(text.format(python=sys.executable))
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    settings: dict[str, Any] = {
        "cores": 1,
        "memory": "2GB",
        "queue": "long",
        "job-script-prologue": ["export OF_MY_OWN=yes"],
        "scheduler-options": {"host": "127.0.0.1"},
        "log-directory": str(folder),
    }
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in settings.items()}):
        yield folder


def test_cells_are_computed_by_jobs(slurm: Path) -> None:
    """The job's script asks for the queue, holds workers to one thread, and its worker does the work."""
    with DaskEngine(cluster="slurm", workers=1, folder=slurm) as engine:
        found = dict(engine.map(str.upper, [("a", ("x",)), ("b", ("y",))]))
        keys = list(slurm.glob(".dask-jobqueue.worker.*"))
        assert len(keys) == 3
        assert all(key.stat().st_mode & 0o077 == 0 for key in keys), "for this user alone"
    assert found == {"a": "X", "b": "Y"}
    assert not list(slurm.glob(".dask-jobqueue.worker.*")), "gone with the cluster"
    script = (slurm / "job.sh").read_text()
    assert "#SBATCH -p long" in script
    assert "export OF_MY_OWN=yes" in script
    assert "export OMP_NUM_THREADS=1" in script
    for name, value in kept_from_the_start().items():  # where the user's own lines say nothing of it
        assert f"export {name}=${{{name}-{value}}}" in script
    assert "dask_worker tls://127.0.0.1:" in script
    assert f"--tls-key {slurm}" in script
    assert "--dashboard-address 127.0.0.1:0" in script


def test_what_slurm_needs_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(InputError, match=r"spiketrain\[slurm\]"):
        DaskEngine(cluster="slurm")


def test_a_cluster_without_settings_is_refused() -> None:
    pytest.importorskip("dask_jobqueue", reason="the slurm extra is not installed")
    with pytest.raises(InputError, match=r"jobqueue\.yaml"):
        DaskEngine(cluster="slurm")
