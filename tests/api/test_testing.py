"""What is sound passes the suite for third parties, and each planted fault is found and named."""

import gc
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch

import spiketrain as st
from learning.readout_only import ReadoutOnly
from learning.rule import Outer
from mismatch.chip import ChipPopulation
from mismatch.spec import MismatchSpec
from root import plugins
from root.seeds import SeedTree
from spiketrain import testing
from spiketrain.testing.cases import Case, examine, skip
from spiking.connections import Dense, OneToOne, Synapses
from spiking.network import chain
from spiking.neurons import ALIF, LIF
from spiking.simulators.base import Simulator
from spiking.simulators.torch import TorchSimulator

from .conftest import CONFIG, samples


@dataclass(frozen=True)
class Soft(LIF):
    """A LIF neuron under another name."""

    model: ClassVar[str] = "soft"


@dataclass(frozen=True)
class TwoTongues(LIF):
    """In tensors its leak is a little stronger than in the text that others print."""

    def stepper(self, constants):
        sound = LIF.stepper(self, constants)

        def step(state, current, values):
            return sound(state, 0.999 * current, values)

        return step


@dataclass(frozen=True)
class Deaf(LIF):
    """It says that its threshold deviates, and no equation knows it."""

    def dynamics(self, without=()):
        return replace(
            LIF.dynamics(self, without),
            threshold="v > 1",
            start="v = reset + uniform * (1 - reset)",
        )


class Swapped(Synapses):
    """What is behind counts twice on the way back."""

    def transposed(self, weights, y):
        return 2 * Synapses.transposed(self, weights, y)


@dataclass(frozen=True)
class Crooked(Dense):
    """All-to-all, with a wrong adjoint."""

    origin: ClassVar[str] = "crooked"

    def between(self, pre, post):
        sound = Dense.between(self, pre, post)
        return Swapped(sound.parameters, sound.inputs, sound.outputs, None)


@dataclass(frozen=True)
class Peeping(ReadoutOnly):
    """A rule that finds the chips in memory and reads a threshold."""

    name: ClassVar[str] = "peeping"

    def update(self, batch, observation, model):
        found = [thing for thing in gc.get_objects() if isinstance(thing, ChipPopulation)]
        chips = [thing for thing in found if thing.network == model.network and thing._settled is not None]
        last = max(chips, key=lambda population: population.spec.seed)
        true = last._settled.neurons[-1]["bias"]
        update = ReadoutOnly.update(self, batch, observation, model)
        *others, outer = update.connections
        assert isinstance(outer, Outer)
        return replace(update, connections=(*others, replace(outer, post=outer.post + true.unsqueeze(1))))


@dataclass(frozen=True)
class Holding(ReadoutOnly):
    """A rule that was handed the chips."""

    chips: list = field(default_factory=list, hash=False)


class Late(Simulator):
    """Everything reaches it one step late."""

    name = "late"

    def run_block(self, network, hardware, block):
        drive = block.drive
        name = "spikes" if hasattr(drive, "spikes") else "values"
        shown = getattr(drive, name)
        if shown.ndim == 3:
            shown = torch.cat([torch.zeros_like(shown[:, :1]), shown[:, :-1]], dim=1)
        return TorchSimulator().run_block(
            network, hardware, replace(block, drive=replace(drive, **{name: shown}))
        )


class Sound(Simulator):
    """The tensors under another name."""

    name = "sound"
    abilities = TorchSimulator.abilities

    def run_block(self, network, hardware, block):
        return TorchSimulator().run_block(network, hardware, block)


def failed(check) -> dict[str, str]:
    with pytest.raises(testing.ConformanceError) as caught:
        check()
    return {finding.name: finding.wrong for finding in caught.value.report.wrong}


def test_a_sound_neuron_passes_and_the_report_says_what_was_checked() -> None:
    report = testing.check_neuron(Soft(bias=1.1, refractory_ms=2.0), simulators=["compiled"])
    assert len(report.held) == 6
    assert "holds    compiled does what tensors do" in str(report)


def test_a_neuron_whose_printers_disagree_is_found() -> None:
    wrong = failed(lambda: testing.check_neuron(TwoTongues(bias=1.1), simulators=["compiled"]))
    assert (
        "spikes differ" in wrong["compiled does what tensors do"]
        or "layer 1" in wrong["compiled does what tensors do"]
    )


def test_a_parameter_without_effect_and_one_without_spikes_are_found() -> None:
    wrong = failed(lambda: testing.check_neuron(Deaf(bias=1.1), simulators=[]))
    assert wrong["every parameter has an effect"] == "threshold changes nothing: no equation knows it"
    silent = failed(lambda: testing.check_neuron(ALIF(bias=-50.0), simulators=[]))
    assert "it emits nothing" in silent["it emits something, and neurons differ"]


def test_a_connection_whose_adjoint_is_wrong_is_found() -> None:
    assert testing.check_connection(OneToOne(), (3, 4), (12,), simulators=["compiled"]).held
    wrong = failed(lambda: testing.check_connection(Crooked(), (6,), (5,), simulators=["compiled"]))
    assert list(wrong) == ["three operations are adjoint"]
    assert wrong["three operations are adjoint"].startswith("transposed")


def test_a_rule_that_reads_the_chip_is_found() -> None:
    assert testing.check_rule(ReadoutOnly(), neurons=["rate"]).held
    wrong = failed(lambda: testing.check_rule(Peeping(), neurons=["rate"], learns=False))
    assert "depends on the chip" in wrong["twins cannot be told apart (rate)"]
    population = ChipPopulation(chain([3, 2], LIF()), MismatchSpec(1), TorchSimulator(), SeedTree(0))
    wrong = failed(lambda: testing.check_rule(Holding(chips=[population]), neurons=["rate"], learns=False))
    assert wrong == {"it finds nothing of the chip (rate)": "it reaches a ChipPopulation"}


def test_a_simulator_that_is_a_step_late_is_found() -> None:
    wrong = failed(lambda: testing.check_simulator(Late))
    assert "spikes differ, the first in step" in wrong["two chips"]
    assert wrong["the single neuron of the NIR paper, current"].startswith("spikes in the steps [461")


def test_what_cannot_be_checked_is_no_success() -> None:
    report = examine("something", [Case("first", lambda: None), Case("second", lambda: skip("no card"))])
    assert str(report) == "something\n  holds    first\n  skipped  second: no card"
    with pytest.raises(testing.ConformanceError, match="no card"):
        examine("nothing", [Case("only", lambda: skip("no card"))])
    with pytest.raises(testing.ConformanceError, match="ZeroDivisionError: "):
        examine("broken", [Case("only", lambda: print(1 / 0))])


@pytest.mark.parametrize("case", testing.neuron_cases(Soft(bias=1.2), simulators=[]), ids=str)
def test_cases_are_tests_of_pytest(case) -> None:
    case()


def test_a_connection_and_a_simulator_of_ones_own_are_registered_in_one_line(tmp_path: Path) -> None:
    @st.register
    @dataclass(frozen=True)
    class Everyone(Dense):
        """All-to-all, under another name."""

        origin: ClassVar[str] = "everyone"

    st.register(Sound)
    assert plugins.load("connections", "everyone") is Everyone
    x, y = samples(30)
    graph = {
        "input": [4, 4],
        "populations": {"hidden": {"size": 8}, "output": {"size": 3}},
        "connections": {
            "in": {"pre": "input", "post": "hidden", "kind": "everyone"},
            "out": {"pre": "hidden", "post": "output"},
        },
        "neuron": {"model": "lif", "bias": 1.0},
    }
    config = {**CONFIG, "network": graph, "rule": "readout_only", "simulator": {"name": "sound"}}
    config["training"] = {"epochs": 1, "batch": 10, "learning_rate": 1.0}
    mine = st.load(config).fit(x, y, test=(x, y))
    graph["connections"]["in"]["kind"] = "dense"
    theirs = st.load({**config, "simulator": {"name": "torch"}}).fit(x, y, test=(x, y))
    assert (mine.weights["out"] == theirs.weights["out"]).all()
