"""Shapes are checked where data enter: nothing is read past its end, and no axis is taken for another."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mismatch.chip import ChipPopulation
from mismatch.spec import MismatchSpec
from root.errors import InputError
from root.seeds import SeedTree
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import Controller, CurrentDrive, Phase, Plasticity, SpikeDrive, Weights
from spiking.simulators.torch import TorchSimulator

CHIPS, BATCH, STEPS, SIZES = 2, 3, 20, (5, 4, 2)
NETWORK = chain(SIZES, LIF())
WINDOW = torch.ones(STEPS, dtype=torch.float64)
SPIKES = torch.zeros(BATCH, STEPS, 5, dtype=torch.bool)


def zeros(*shape: int) -> torch.Tensor:
    return torch.zeros(*shape, dtype=torch.float64)


def phase(name: str = "free", **keys: object) -> Phase:
    return Phase(**{"name": name, "drive": SpikeDrive(SPIKES), "window": WINDOW, **keys})  # type: ignore[arg-type]


def weights(chips: int = CHIPS) -> Weights:
    return Weights(
        forward=(zeros(chips, 5, 4), zeros(chips, 4, 2)),
        bias=(zeros(chips, 4), zeros(chips, 2)),
        feedback=(zeros(chips, 2, 4), zeros(chips, 2, 2)),
    )


def present(*phases: Phase) -> None:
    chips = ChipPopulation(NETWORK, MismatchSpec(CHIPS), TorchSimulator(), SeedTree(0))
    chips.program(weights())
    chips.present(phases, "test")


def controller(*shape: int, **keys: object) -> Controller:
    return Controller(zeros(*shape), **keys)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"drive": SpikeDrive(SPIKES[:, :10])}, r"phase\.drive\.spikes: got \(3, 10, 5\).*steps = 20"),
        ({"drive": SpikeDrive(torch.cat([SPIKES, SPIKES], 1))}, r"phase\.drive\.spikes: got \(3, 40, 5\)"),
        ({"drive": SpikeDrive(SPIKES[0])}, r"phase\.drive\.spikes: got \(20, 5\)"),
        ({"drive": SpikeDrive(SPIKES[:0])}, r"phase\.drive\.spikes: got \(0, 20, 5\)"),
        ({"drive": CurrentDrive(zeros(BATCH, 8, 5))}, r"phase\.drive\.values: got \(3, 8, 5\)"),
        ({"drive": CurrentDrive(zeros(BATCH, 8, 8, 5))}, r"phase\.drive\.values: got \(3, 8, 8, 5\)"),
        ({"window": zeros(1, STEPS)}, r"phase\.window: got \(1, 20\)"),
        ({"window": zeros(0)}, r"phase\.window: got \(0,\)"),
        ({"controller": controller(BATCH, STEPS, 2)}, r"phase\.controller\.target: .*does not change over"),
        ({"controller": controller(2)}, r"phase\.controller\.target: got \(2,\)"),
        ({"currents": (zeros(4), None)}, r"phase\.currents\[0\]: got \(4,\)"),
        ({"currents": (None, zeros(1, 2))}, r"phase\.currents\[1\]: got \(1, 2\).*batch = 3"),
    ],
)
def test_a_phase_whose_tensors_do_not_fit_each_other(keys: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        phase(**keys)


@pytest.mark.parametrize(
    ("phases", "words"),
    [
        ([phase(drive=SpikeDrive(SPIKES[:, :, :4]))], r"phase\.drive\.spikes: got \(3, 20, 4\).*inputs = 5"),
        ([phase(controller=controller(BATCH, 3))], r"phase\.controller\.target: got \(3, 3\).*n_out = 2"),
        (
            [phase(controller=controller(3, BATCH, 2))],
            r"phase\.controller\.target: got \(3, 3, 2\).*chips = 2",
        ),
        ([phase(currents=(zeros(BATCH, 4),))], r"phase\.currents: got '1 of them'"),
        ([phase(currents=(zeros(BATCH, 3), None))], r"phase\.currents\[0\]: got \(3, 3\).*n_1 = 4"),
        ([phase(plasticity=Plasticity(trace_ms=5.0, steps=(0.1,)))], r"phase\.plasticity\.steps"),
        ([phase(), phase()], r"phase\.name: got 'free'"),
        ([phase(after="before")], r"phase\.after: got 'before'.*there is none"),
        ([phase("a", drive=SpikeDrive(SPIKES[:2])), phase("b", after="a")], r"phase\.after: .*of 2 samples"),
        ([phase(controller=controller(BATCH, 2, nudge_from="free"))], r"phase\.controller\.nudge_from"),
    ],
)
def test_phases_that_do_not_fit_the_network_the_chips_or_each_other(phases: list[Phase], words: str) -> None:
    with pytest.raises(InputError, match=words):
        present(*phases)


def test_shapes_that_fit() -> None:
    loop = controller(BATCH, 2)
    present(phase(), phase("own", controller=controller(CHIPS, BATCH, 2)), phase("all", controller=loop))
    present(phase(currents=(zeros(CHIPS, BATCH, 4), None)), phase("later", after="free"))
    present(
        phase(drive=CurrentDrive(zeros(BATCH, 5))), phase("t", drive=CurrentDrive(zeros(BATCH, STEPS, 5)))
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"forward": (zeros(CHIPS, 5, 4),)}, r"weights\.forward: got '1 tensors'"),
        ({"forward": (zeros(CHIPS, 4, 5), zeros(CHIPS, 4, 2))}, r"weights\.forward\[0\]: got \(2, 4, 5\)"),
        ({"bias": (zeros(3, 4), zeros(CHIPS, 2))}, r"weights\.bias\[0\]: got \(3, 4\).*chips = 2"),
        ({"feedback": (zeros(CHIPS, 2, 4),)}, r"weights\.feedback: got '1 tensors'"),
    ],
)
def test_weights_that_are_not_those_of_the_network(changed: dict[str, object], words: str) -> None:
    chips = ChipPopulation(NETWORK, MismatchSpec(CHIPS), TorchSimulator(), SeedTree(0))
    with pytest.raises(InputError, match=words):
        chips.program(replace(weights(), **changed))  # type: ignore[arg-type]
