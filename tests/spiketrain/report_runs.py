"""The folder of a run with real recordings, for tests of its report."""

from __future__ import annotations

import itertools
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spiketrain.record import RunRecord
from spiketrain.report import Samples, write
from spiking.blocks.snapshots import initial_snapshot
from spiking.hardware import Hardware
from spiking.network import Network, chain
from spiking.neurons.lif import LIF
from spiking.presentation import TRACES, Controller, CurrentDrive, Phase, Recording
from spiking.simulators.torch import TorchSimulator

SIZES = (6, 20, 5)


def observed(chips: int, controller: bool, network: Network, steps: int = 120) -> dict[str, Recording]:
    """What real chips show: a free and, where asked for, a controlled phase of three samples."""
    numbers = np.random.default_rng(0)

    def drawn(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.from_numpy(numbers.normal(scale=scale, size=(chips, *shape)))

    neurons = tuple(
        {
            p.field: torch.full((chips, n), float(getattr(LIF(), p.field)), dtype=torch.float64)
            for p in LIF.parameters
        }
        | {"bias": 1.0 + 0.4 * drawn(n).abs()}
        for n in SIZES[1:]
    )
    weights = tuple(drawn(a, b, scale=a**-0.5) for a, b in itertools.pairwise(SIZES))
    feedback = tuple(drawn(SIZES[-1], n, scale=0.3) for n in SIZES[1:])
    one = torch.ones(chips, SIZES[-1], dtype=torch.float64)
    hardware = Hardware(
        neurons, neurons, weights, feedback, {"gain": one, "offset": 0 * one, "kp": one, "ki": one}
    )
    drive = CurrentDrive(torch.from_numpy(numbers.random((3, SIZES[0]))))
    window = torch.ones(steps, dtype=torch.float64)
    phases = [Phase("free", drive, window, record=frozenset(TRACES))]
    if controller:
        loop = Controller(target(), kp=0.5, ki_per_ms=0.01)
        phases.append(Phase("controlled", drive, window, controller=loop, record=frozenset(TRACES)))
    starts = {
        p.name: initial_snapshot(
            network, hardware, [torch.from_numpy(numbers.random((chips, 3, n))) for n in SIZES[1:]], False
        )
        for p in phases
    }
    return TorchSimulator().run(network, hardware, phases, starts)


def target() -> Tensor:
    return torch.tensor([0.1, 0.8, 0.1, 0.1, 0.1], dtype=torch.float64).expand(3, -1)


def inputs() -> dict[str, Tensor]:
    """Return input spikes of both phases, the same in every run."""
    numbers = torch.Generator().manual_seed(0)
    return {name: torch.rand(120, SIZES[0], generator=numbers) < 0.05 for name in ("free", "controlled")}


def answers(chips: int) -> NDArray[np.int64]:
    """Return counts in which label 3 is taken for 1 four times out of ten, and most often so on chip 1."""
    counts = np.tile(np.eye(5, dtype=np.int64) * 10, (chips, 1, 1))
    counts[:, 3, 3], counts[:, 3, 1] = 6, 4
    return counts


def finished(
    directory: Path,
    *,
    chips: int = 3,
    controller: bool = True,
    epochs: int = 8,
    diverged: dict[str, str] | None = None,
    task: str = "digits",
    validation: bool = True,
) -> Path:
    """Write the directory of a run; the figures' numbers are real recordings, its accuracies are not."""
    network = chain(SIZES, LIF(), max_rate_hz=100.0)
    config = {"task": {"name": task}, "bridge": {"max_rate_hz": 100.0}, "training": {"epochs": epochs}}
    identity = {
        "task": task,
        "rule": "dfc" if controller else "readout_only",
        "arm": "in_the_loop",
        "simulator": "torch",
        "neuron": "lif",
        "layers": list(SIZES),
        "chips": chips,
        "mismatch": {"chips": chips, "seed": 1, "threshold": {"distribution": "normal", "cv": 0.2}},
        "seed": 0,
        "epochs": epochs,
    }
    observation = observed(chips, controller, network)
    shown = {phase: spikes for phase, spikes in inputs().items() if phase in observation}
    numbers = np.random.default_rng(1)
    weights = {f"forward.{i}": torch.from_numpy(numbers.normal(size=(chips, 20, 20))) for i in (1, 2)}
    with RunRecord.create(directory, config, identity) as record:
        record.initial_weights({name: 0.5 * value for name, value in weights.items()})
        for epoch in range(epochs + 1):
            accuracy = 0.95 - 0.85 * np.exp(-epoch / 2) + numbers.normal(scale=0.01, size=chips)
            scores = {
                "test_accuracy": torch.from_numpy(accuracy),
                **({"validation_accuracy": torch.from_numpy(accuracy)} if validation else {}),
            }
            if epoch:
                error = 0.3 / epoch * (1 + 0.2 * torch.arange(chips))
                record.batch(error, {"alignment_degrees": 60 + error} if controller else {}, observation)
            record.epoch(epoch, scores | {"learning_rate": 0.1})
        record.finish(
            {
                "test_accuracy": accuracy.tolist(),
                "diverged_chips": diverged or {},
                "train_samples_per_second": 1234.5,
                "seconds": 12.0,
            },
            weights,
            {},
            Samples.of(observation, target(), network.dt_ms, network.max_rate_hz, inputs=shown),
            answers(chips),
        )
    write(directory)
    return directory


@cache
def whole() -> Path:
    """Return the folder of a run that has everything, written once."""
    folder = Path(tempfile.mkdtemp()) / "run"
    return finished(folder, diverged={"1": "the output layer is silent on every sample"})
