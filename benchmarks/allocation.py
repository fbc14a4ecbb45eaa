"""What it brings that freed memory stays with the process: wide networks in the tensor simulator, both ways.

    OMP_NUM_THREADS=1 python benchmarks/allocation.py [hidden] [chips] [batches]
    python benchmarks/allocation.py study

Trains `dfc_lif.yaml` with a wide hidden layer in float32 on its first batches, in processes of their own:
with the allocator as `spiketrain.allocator` sets it and as glibc has it by default, in turns. Processor time
of the batches without the start, the median over turns; and the peak of the memory. The claim: at least 1.2
times as fast with 1600 neurons and ten chips.

``study``: a worker of a study, against one with the allocator as Dask sets it. Seconds of a cell
of `studies/rivals.yaml`, one epoch of e-prop with random feedback. The claim: at least 1.3 times as fast.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from machine import machine

TURNS, AT_LEAST, AT_LEAST_IN_A_STUDY = 3, 1.2, 1.3

DEFAULT = {"GLIBC_TUNABLES": ""}
"""An environment in which the allocator is left alone."""

DASKS = {"MALLOC_TRIM_THRESHOLD_": "65537"}
"""What Dask sets for its workers, but for a byte by which it counts as the user's wish and is left alone."""


def child(hidden: str, chips: str, batches: str) -> int:
    """Train, and print the seconds and the peak of the memory in GB."""
    import torch  # noqa: PLC0415 (only the child computes)

    from spiketrain.config import load_experiment  # noqa: PLC0415
    from spiketrain.parts import build  # noqa: PLC0415
    from spiketrain.teaching import learn  # noqa: PLC0415

    torch.set_num_threads(1)
    overrides = [
        *("simulator.name=torch", "simulator.dtype=float32", "training.batch=128"),
        *(f"network.layers=[64, {hidden}, 10]", f"mismatch.chips={chips}"),
    ]
    parts = build(load_experiment("spiking/dfc_two_phase_digits.yaml", overrides), None)
    shown = list(itertools.islice(parts.batches(0), int(batches)))
    began = time.process_time()
    for batch in shown:
        learn(parts, batch, parts.learning_rate)
    used = time.process_time() - began
    print(json.dumps([used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6]))
    return 0


def measured(sizes: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Return what a child of its own prints."""
    command = [sys.executable, __file__, "child", *sizes]
    env = {**os.environ, **environment}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    return seconds, peak


def main(hidden: str = "1600", chips: str = "10", batches: str = "1") -> int:
    """Measure and print; return 0 where the claim holds."""
    print(machine())
    sizes = [hidden, chips, batches]
    turns = [(measured(sizes, {}), measured(sizes, DEFAULT)) for _ in range(TURNS)]
    ratio = median(default[0] / kept[0] for kept, default in turns)
    for name, column in zip(("kept", "default"), zip(*turns, strict=True), strict=True):
        seconds, peak = (median(values) for values in zip(*column, strict=True))
        print(f"{name}: {seconds:.2f} s, at most {peak:.2f} GB")
    print(f"64-{hidden}-10, {chips} chips: {ratio:.2f} times as fast (at least {AT_LEAST})")
    return 0 if ratio >= AT_LEAST else 1


def cell(environment: dict[str, str]) -> float:
    """Return the seconds that a worker of a study takes for its only cell."""
    keep = 'study.keep={task: [yinyang], arm: ["e-prop, random feedback"]}'
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "study"
        command = [sys.executable, "-m", "spiketrain.cli", "sweep", "--config", "studies/rivals.yaml"]
        options = ["--quiet", "--workers", "1", "--output", str(root)]
        options += ["--set", keep, "--set", "training.epochs=1"]
        done = subprocess.run([*command, *options], env={**os.environ, **environment}, check=False)
        if done.returncode:
            sys.exit(done.returncode)
        with (root / "cells.csv").open(encoding="utf-8") as file:
            return float(next(csv.DictReader(file))["seconds"])


def study() -> int:
    """Measure and print what it brings to workers; return 0 where the claim holds."""
    print(machine())
    turns = [(cell({}), cell(DASKS)) for _ in range(TURNS)]
    ratio = median(dasks / kept for kept, dasks in turns)
    for name, column in zip(("kept", "as Dask sets it"), zip(*turns, strict=True), strict=True):
        print(f"{name}: {median(column):.1f} s")
    print(f"a cell of e-prop: {ratio:.2f} times as fast (at least {AT_LEAST_IN_A_STUDY})")
    return 0 if ratio >= AT_LEAST_IN_A_STUDY else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["study"]:
        sys.exit(study())
    sys.exit(child(*sys.argv[2:]) if sys.argv[1:2] == ["child"] else main(*sys.argv[1:]))
