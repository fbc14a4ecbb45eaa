"""A card: first whether it is right, then how fast it is. One script, under four minutes.

    python benchmarks/gpu.py [--seconds 220] [--studies]

The checks come first: the kernel on the card against the compiled loop, spike for spike in float64, by counts
in float32, and a training of some batches, weights to 1e-9. Then chip-samples a second of whole training
(both phases, the update, the chips programmed anew) end to end, against the compiled simulator on one core
and on all; then of presentations alone over chips, neurons, depth and type. What does not fit into the
time is left out and said to be. With ``--studies`` the depth study and the hundred chips of the stability
study are timed instead, which takes longer.

Without a card it says why, and ends with 2.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from machine import machine

from spiketrain.api.setup import UNNAMED
from spiketrain.config import Experiment, find_config
from spiketrain.config.experiment import named_mapping
from spiketrain.gain import speed
from spiketrain.parts import Parts, build
from spiketrain.reading import with_overrides
from spiketrain.tasks.base import TaskData
from spiketrain.teaching import learn
from spiketrain.testing.problems import layered, pair, relayed
from spiking.network import chain
from spiking.neurons import ALIF, LIF
from spiking.simulators.compiled import CompiledSimulator
from spiking.simulators.cuda import CudaSimulator
from spiking.simulators.cuda.card import driver, why_not


@dataclass(frozen=True)
class Case:
    """A training, and the figure to reach on the card.

    Args:
        name: what is printed.
        config: what is changed.
        changes: how.
        wanted: chip-samples a second.
    """

    name: str
    config: str
    changes: tuple[str, ...]
    wanted: float


SPIKES = "spiking/dfc_two_phase_digits.yaml"
CASES = (
    Case("64-100-10, two phases of 150 steps", SPIKES, ("network.layers=[64, 100, 10]",), 1e6),
    Case(
        "784-256-10, currents, two phases of 50 steps",
        SPIKES,
        (
            "network.layers=[784, 256, 10]",
            "bridge.encoding=current",
            "simulator.presentation_ms=50",
            "simulator.window_ms=25",
        ),
        1e6,
    ),
    Case(
        "4-200-200-200-3, two phases of 120 steps",
        SPIKES,
        (
            "network.layers=[4, 200, 200, 200, 3]",
            "simulator.presentation_ms=120",
            "simulator.window_ms=60",
        ),
        0.25e6,
    ),
)

BATCH = 128


class Clock:
    """The time that is left."""

    def __init__(self, seconds: float) -> None:
        self.end = time.perf_counter() + seconds

    def allows(self, seconds: float, what: str) -> bool:
        """Return whether something that takes so long still fits, and say where it does not."""
        fits = time.perf_counter() + seconds < self.end
        if not fits:
            print(f"left out for want of time: {what}", flush=True)
        return fits


def main() -> int:
    """Check, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=220.0, help="how long it may take")
    parser.add_argument("--studies", action="store_true", help="time the studies instead")
    parser.add_argument("--emulate", action="store_true", help="try the script without a card, in miniature")
    given = parser.parse_args()
    if reason := "" if given.emulate else why_not():
        print(f"benchmarks/gpu.py: {reason}", file=sys.stderr)
        return 2
    print(machine())
    if not given.emulate:
        free, total = driver().memory(0)
        cuda = driver().version()
        print(
            f"card: {driver().name(0)}, {total / 1e9:.0f} GB ({free / 1e9:.0f} free), driver for CUDA {cuda}"
        )
    clock = Clock(given.seconds)
    if given.studies:
        return studies()
    wrong = check(given.emulate)
    print("checks: " + ("WRONG, see above" if wrong else "all equal"), flush=True)
    training(clock, given.emulate)
    if not given.emulate:
        sweep(clock)
    return 1 if wrong else 0


def card(dtype: torch.dtype = torch.float64, *, emulate: bool = False) -> CudaSimulator:
    """Return the simulator on the card."""
    return CudaSimulator("cpu" if emulate else "cuda", dtype, emulate=emulate)


# checks


def check(emulate: bool) -> int:
    """Compare the card with the compiled loop; return how many comparisons failed."""
    wrong = 0
    size: dict[str, Any] = {"chips": 2, "samples": 4, "steps": 60} if emulate else {"chips": 4, "samples": 64}
    for sizes in ((64, 100, 10), (20, 33, 31, 5)):
        for dtype in (torch.float64, torch.float32):
            _, ours = speed(card(dtype, emulate=emulate), sizes=sizes, repeats=1, **size)
            _, theirs = speed(CompiledSimulator(dtype=dtype), sizes=sizes, repeats=1, **size)
            other = int((ours != theirs).sum())
            allowed = 0 if dtype == torch.float64 else theirs.numel() // 100
            wrong += other > allowed or float(theirs.sum()) == 0.0
            print(
                f"{dashed(sizes)} {name(dtype)}: {other} of {theirs.numel()} output rates differ", flush=True
            )
    for neuron in (LIF(bias=0.8, refractory_ms=2.0), ALIF(bias=1.0)):
        wrong += not same_spikes(neuron, emulate)
    return wrong + (not same_training(emulate))


def same_spikes(neuron: Any, emulate: bool) -> bool:
    """Compare every spike of two phases, with shadows, delays and layered feedback, in float64."""
    alike = True
    for made in (
        pair(chain([20, 40, 30, 5], neuron, delay_steps=[1, 3, 2]), 2, 4, 60),
        relayed(pair(layered(chain([20, 40, 30, 5], neuron)), 2, 4, 60)),
        pair(chain([16, 40, 5], neuron), 2, 4, 60, currents=1),
    ):
        expected = made.run(CompiledSimulator())
        machine = card(emulate=emulate)
        made.hardware = moved(made.hardware, machine.device)
        made.starts = {key: moved(start, machine.device) for key, start in made.starts.items()}
        given = made.run(machine)
        for phase, theirs in expected.items():
            for a, b in zip(given[phase].traces["spikes"], theirs.traces["spikes"], strict=True):
                alike &= torch.equal(a.cpu(), b)
    print(f"{neuron.model}: every spike of nine phases {'is the same' if alike else 'IS NOT THE SAME'}")
    return alike


def moved(value: Any, device: torch.device) -> Any:
    """Return something with all its tensors on a device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: moved(item, device) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(moved(item, device) for item in value)
    if hasattr(value, "__dataclass_fields__"):
        return replace(
            value, **{key: moved(getattr(value, key), device) for key in value.__dataclass_fields__}
        )
    return value


def same_training(emulate: bool) -> bool:
    """Train some batches on both and compare the weights."""
    short = (
        "network.layers=[64, 12, 10]",
        "mismatch.chips=2",
        "simulator.dtype=float64",
        "training.batch=32",
    )
    made = [trainer(SPIKES, short, kind, emulate) for kind in ("compiled", "cuda")]
    for parts in made:
        for batch in list(first(parts, 3)):
            learn(parts, batch, parts.learning_rate)
    pairs = zip(made[0].model.forward_weights, made[1].model.forward_weights, strict=True)
    apart = max(float((a - b.cpu()).abs().max()) for a, b in pairs)
    print(f"weights after three batches differ by at most {apart:.1e}", flush=True)
    return apart < 1e-9


# speeds


def trainer(config: str, changes: tuple[str, ...], machine: str, emulate: bool, threads: int = 0) -> Parts:
    """Return everything a training needs, on a machine, with random samples of the network's sizes."""
    own = [f"simulator.name={machine}"]
    if machine == "cuda":
        own += ["simulator.emulate=true"] if emulate else ["simulator.device=cuda"]
    if threads:
        own.append(f"simulator.threads={threads}")
    data = with_overrides(named_mapping(find_config(config)), [*changes, *own])
    experiment = Experiment.from_mapping({**data, "task": UNNAMED})
    return build(experiment, None, samples(experiment))


def samples(experiment: Experiment) -> TaskData:
    """Return random samples that fit the network: how fast it is does not hang on what they show."""
    sizes = experiment.build_network().sizes
    g = torch.Generator().manual_seed(0)
    count = experiment.training.batch * 4
    x, y = torch.rand(count, sizes[0], generator=g, dtype=torch.float64), torch.arange(count) % sizes[-1]
    none = x[:0], y[:0]
    return TaskData(x, y, x[:32], y[:32], *none, classes=sizes[-1])


def first(parts: Parts, count: int) -> Iterator[Any]:
    """Return the first batches of the training, from the beginning again where they end."""
    epoch = 0
    while count > 0:
        for batch in parts.batches(epoch):
            yield batch
            count -= 1
            if count == 0:
                return
        epoch += 1


def pace(parts: Parts, batches: int) -> float:
    """Return chip-samples a second of whole training, the first batch not counted."""
    given = list(first(parts, batches + 1))
    learn(parts, given[0], parts.learning_rate)
    settle(parts)
    began = time.perf_counter()
    for batch in given[1:]:
        learn(parts, batch, parts.learning_rate)
    settle(parts)
    return batches * len(given[0].x) * parts.model.chips / (time.perf_counter() - began)


def settle(parts: Parts) -> None:
    """Wait for the card."""
    float(parts.model.forward_weights[0].sum())


def training(clock: Clock, emulate: bool) -> None:
    """Print whole training, on the card and on the processor."""
    cores = len(os.sched_getaffinity(0))
    print(f"\nwhole training, chip-samples/s{'':22} | card | one core | {cores} cores | wanted")
    for case in CASES:
        for dtype in ("float32", "float64"):
            if not clock.allows(25, f"{case.name} {dtype}"):
                continue
            chips, batch = (2, 8) if emulate else (100, BATCH)
            common = (*case.changes, f"simulator.dtype={dtype}", f"training.batch={batch}")
            rates = []
            for kind, threads, few, batches in (
                ("cuda", 0, chips, 2 if emulate else 10),
                ("compiled", 1, 2, 1),
                ("compiled", cores, 4, 1),
            ):
                changes = (*common, f"mismatch.chips={few}")
                rates.append(pace(trainer(case.config, changes, kind, emulate, threads), batches))
            told = " | ".join(f"{rate:,.0f}" for rate in rates)
            print(f"{case.name} {dtype} | {told} | {case.wanted:,.0f}", flush=True)


def sweep(clock: Clock) -> None:
    """Print presentations alone, over what they may hang on."""
    print("\npresentations of two phases, chip-samples/s on the card")

    def line(what: str, measure: Callable[[], float]) -> None:
        if clock.allows(6, what):
            try:
                print(f"{what} | {measure():,.0f}", flush=True)
            except torch.cuda.OutOfMemoryError:
                print(f"{what} | does not fit", flush=True)
            torch.cuda.empty_cache()

    for dtype in (torch.float32, torch.float64):
        simulator = card(dtype)
        for chips in (1, 4, 16, 64, 256, 1024, 4096):
            some = max(4, min(64, 65536 // chips))
            run = partial(speed, simulator, chips=chips, samples=some, repeats=2)
            line(f"64-100-10, {chips} chips of {some} samples, {name(dtype)}", lambda run=run: run()[0])
        for neurons in (100, 300, 1000, 3000, 10000):
            sizes = (64, neurons, 10)
            run = partial(speed, simulator, sizes=sizes, chips=16, repeats=1)
            line(f"{dashed(sizes)}, 16 chips, {name(dtype)}", lambda run=run: run()[0])
        for depth in (1, 2, 3, 5, 8):
            sizes = (64, *[100] * depth, 10)
            run = partial(speed, simulator, sizes=sizes, chips=64, repeats=1)
            line(f"{dashed(sizes)}, 64 chips, {name(dtype)}", lambda run=run: run()[0])


def studies() -> int:
    """Time the depth study, and the hundred chips of the stability study, on the card."""
    from spiketrain.studies.study import load_study  # noqa: PLC0415
    from spiketrain.studies.sweep import Options, sweep  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        plain = load_study("depth.yaml")
        hundred = load_study("stability.yaml", ["mismatch.chips=100"])
        only = {"case": ("digits",), "guard": ("none",), "sigma": (0.2,)}
        for label, study in (
            ("depth study, all cells (wanted: 600 s)", plain),
            ("stability study, a hundred chips (wanted: 120 s)", hundred.model_copy(update={"keep": only})),
        ):
            began = time.perf_counter()
            options = Options(quiet=True, in_process=True)
            done = sweep(study.model_copy(update={"device": "cuda"}), Path(folder) / study.name, options)
            seconds = time.perf_counter() - began
            print(f"{label}: {done.cells} cells, {done.failed} failed, {seconds:.0f} s", flush=True)
    return 0


def dashed(sizes: tuple[int, ...]) -> str:
    """Return sizes as they are written."""
    return "-".join(map(str, sizes))


def name(dtype: torch.dtype) -> str:
    """Return the name of a type."""
    return str(dtype).removeprefix("torch.")


if __name__ == "__main__":
    sys.exit(main())
