"""A lab's adapter: a fake board with habits of its own trains, and the conformance suite finds what is
wrong with others."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_board import DEAD, LATENCY_S, FakeBoard
from wired import Place, places, population

from chips.base import Chips
from chips.conformance import CHECKS, examine
from chips.wire.server import Server
from root.errors import InputError, UnsupportedError
from spiketrain.config import load_experiment
from spiketrain.evaluation import evaluate
from spiketrain.parts import build
from spiketrain.teaching import learn
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import Weights

NETWORK = chain([12, 16, 5], LIF())
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "my_chip.py"


def template():
    spec = importlib.util.spec_from_file_location("my_chip", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["my_chip"] = module
    spec.loader.exec_module(module)
    return module


MY_CHIP = template()


def board(network=NETWORK, latency_s=0.0):
    return MY_CHIP.MyChip(FakeBoard(network.sizes, latency_s), network)


class Faulty(Chips):
    """Simulated chips behind an adapter in which something is wrong."""

    def __init__(self):
        self._chips = population(2, network=NETWORK)

    network = property(lambda self: self._chips.network)
    card = property(lambda self: self._chips.card)
    now_ms = property(lambda self: self._chips.now_ms)

    def program(self, weights):
        self._chips.program(self.written(weights))

    def written(self, weights):
        return weights

    def present(self, phases, *presentation):
        seen = self._chips.present([self.shown(phase) for phase in phases], *presentation)
        return {name: self.read(recording) for name, recording in seen.items()}

    def shown(self, phase):
        return phase

    def read(self, recording):
        return recording

    def advance(self, milliseconds):
        self._chips.advance(milliseconds)

    def trial(self):
        return self._chips.trial()

    def state(self):
        return self._chips.state()

    def restore(self, state):
        self._chips.restore(state)


def with_rates(recording, change):
    return replace(recording, rates=(recording.rates[0], *(change(r) for r in recording.rates[1:])))


class Permuted(Faulty):
    """Neurons are read in another order than they are written."""

    def read(self, recording):
        return with_rates(recording, lambda r: r.roll(3, -1))


class Shifted(Faulty):
    """Inputs arrive one line further."""

    def shown(self, phase):
        return replace(phase, drive=replace(phase.drive, spikes=phase.drive.spikes.roll(1, -1)))


class Unsigned(Faulty):
    """Signs are lost."""

    def written(self, weights):
        return replace(weights, forward=tuple(w.abs() for w in weights.forward))


class Binary(Faulty):
    """A weight is on or off."""

    def written(self, weights):
        return replace(weights, forward=tuple(w.sign() * w.abs().max() for w in weights.forward))


class WriteOnce(Faulty):
    """What was written first stays: zeros do not arrive."""

    def written(self, weights):
        before = getattr(self, "before", weights.forward)
        kept = tuple(torch.where(w == 0, b, w) for w, b in zip(weights.forward, before, strict=True))
        self.before = kept
        return replace(weights, forward=kept)


class Backwards(Faulty):
    """The last sample comes first."""

    def read(self, recording):
        return with_rates(recording, lambda r: r.flip(1))


class Counts(Faulty):
    """Spikes are counted and not divided by the time."""

    def shown(self, phase):
        self.total = float(phase.window.sum())
        return phase

    def read(self, recording):
        return with_rates(recording, lambda r: r * self.total)


class Unwindowed(Faulty):
    """The whole presentation counts."""

    def shown(self, phase):
        return replace(phase, window=torch.ones_like(phase.window))


class Remembering(Faulty):
    """The state of the sample before is still there."""

    def read(self, recording):
        return with_rates(recording, lambda r: r + 0.3 * r.roll(1, 1))


class Unbiased(Faulty):
    """Biases are not written."""

    def written(self, weights):
        return replace(weights, bias=tuple(torch.zeros_like(b) for b in weights.bias))


class NotANumber(Faulty):
    """A read-out failed, and says so in its own way."""

    def read(self, recording):
        return with_rates(recording, lambda r: torch.where(r == r.max(), torch.nan, r))


class Boastful(Faulty):
    """The card promises traces that are not given."""

    def shown(self, phase):
        return replace(phase, record=phase.record - {"voltage"})


class Tracing(Faulty):
    """What is said to be a trial is the chips themselves."""

    def trial(self):
        return self._chips


class Timeless(Faulty):
    """The clock stands still."""

    now_ms = property(lambda self: 0.0)


class Noisy(Faulty):
    """What is read is mostly noise."""

    def read(self, recording):
        return with_rates(recording, lambda r: r * torch.rand(r.shape).double() ** 3)


class Leaky(Faulty):
    """Neurons spike by themselves."""

    def read(self, recording):
        return with_rates(recording, lambda r: r + 0.2)


FAULTS = {
    Permuted: "wiring",
    Shifted: "wiring",
    Unsigned: "signs",
    Binary: "sizes of weights",
    WriteOnce: "programming",
    Backwards: "order of samples",
    Counts: "rates",
    Unwindowed: "window",
    Remembering: "no memory of samples",
    Unbiased: "biases",
    NotANumber: "shapes",
    Boastful: "traces",
    Tracing: "trials",
    Timeless: "clock",
    Noisy: "the same twice",
    Leaky: "silence",
}
"""Planted faults, and the check that must find each."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_found_by_name(fault):
    wrong = {finding.name: finding.wrong for finding in examine(fault()) if finding.wrong}
    assert FAULTS[fault] in wrong, wrong


def test_chips_without_faults_pass_whatever_their_mismatch():
    for chips in (population(2, network=NETWORK), board()):
        findings = list(examine(chips))
        assert not [finding for finding in findings if finding.wrong]
        assert [finding.name for finding in findings] == list(CHECKS)
    assert {f.name for f in findings if not f.asked} == {"trials", "control"}


def test_chips_that_cannot_even_be_programmed_are_said_to_be_wrong():
    class Broken(Faulty):
        def program(self, weights):
            raise RuntimeError("the cable is not in")

    assert [(f.name, f.wrong) for f in examine(Broken())] == [
        ("programming", "it fails: the cable is not in")
    ]


def test_the_command_checks_what_is_served(tmp_path):
    from spiketrain.commands.chips import checked  # noqa: PLC0415

    with places(Place(tmp_path / "good", board), Place(tmp_path / "bad", Counts)) as (good, bad):
        assert checked(good.address, None, lambda line: None) == 0
        lines = []
        assert checked(bad.address, None, lines.append) > 0
        assert any(line.startswith("NO  rates") for line in lines)
        with pytest.raises(InputError, match="address where chips are served"):
            checked(f"ipc://{tmp_path / 'nobody'}", None, lines.append)


def test_the_template_is_short_and_its_board_has_habits():
    assert len(EXAMPLE.read_text().splitlines()) < 100
    chips = board(latency_s=LATENCY_S)
    assert chips.card.samples_at_once == 1
    assert chips.card.weight_bits == 6
    strong = Weights(
        tuple(torch.full((1, a, b), 2.0).double() for a, b in ((12, 16), (16, 5))),
        tuple(torch.full((1, n), 2.0).double() for n in (16, 5)),
    )
    chips.program(strong)
    first = chips.board.weights[0].copy()
    chips.program(strong)
    assert abs(first - chips.board.weights[0]).max() > 0  # noise in every write
    raster = torch.ones(40, 12, dtype=torch.bool).numpy()
    alone = [layer.sum() for layer in chips.show(raster)]
    assert [layer.sum() for layer in chips.show(raster)] != alone  # no reset
    assert not chips.show(raster)[0][:, DEAD].any()


def test_a_rule_or_an_arm_that_a_board_cannot_serve_is_refused_with_the_reason(tmp_path):
    network = load_experiment(CONFIG, SHORT).build_network()
    with places(Place(tmp_path / "board", lambda: board(network))) as (place,):
        where = [*SHORT, f"chips.at={place.address}", "mismatch.seed=null"]
        for changes, reason in (
            (
                ["rule={name: dfc, prediction: none}", "training.optimizer=adam"],
                r"chips.*control \(a controller",
            ),
            (["training.arm=offline"], r"training\.arm.*the design itself"),
            (["training.arm=aware", "training.optimizer=adam"], r"training\.arm.*other chips"),
        ):
            with pytest.raises(UnsupportedError, match=reason):
                build(load_experiment(CONFIG, [*where, *changes]), None)


def test_an_adapter_that_gives_something_else_is_told():
    class Wrong(MY_CHIP.MyChip):
        def show(self, spikes):
            return [layer[:-1] for layer in super().show(spikes)]

    assert (
        "booleans of the shapes" in next(iter(examine(Wrong(FakeBoard(NETWORK.sizes, 0.0), NETWORK)))).wrong
    )


CONFIG = "spiking/direct_feedback_alignment_digits.yaml"
SHORT = ["network.layers=[64, 40, 10]", "simulator.name=torch", "simulator.dtype=float64", "mismatch.chips=1"]
SHORT += [
    "simulator.presentation_ms=60",
    "simulator.window_ms=40",
    "training.batch=8",
    "training.average=0.0",
]
SHORT += ["simulator.test_presentation_ms=60", "simulator.test_window_ms=40"]


def accuracy(overrides, batches=60, samples=100):
    """Return the accuracy after a short training."""
    parts = build(load_experiment(CONFIG, [*SHORT, *overrides]), None)
    for _, batch in zip(range(batches), parts.batches(0), strict=False):
        learn(parts, batch, parts.learning_rate)
    some = parts.data
    parts.data = replace(some, x_test=some.x_test[:samples], y_test=some.y_test[:samples])
    result = float(evaluate(parts, "test")[0])
    parts.chips.close()
    return result


def test_the_fake_board_trains_about_as_well_as_the_simulated_chip(tmp_path):
    network = load_experiment(CONFIG, SHORT).build_network()
    with places(Place(tmp_path / "board", lambda: board(network))) as (place,):
        there = accuracy([f"chips.at={place.address}", "mismatch.seed=null"])
    here = accuracy([])
    assert here > 0.6
    assert there > here - 0.06  # 100 samples: see docs/hardware.md for a whole training


def test_a_server_of_hardware_gives_no_more_than_its_card():
    chips = board()
    assert chips.trial() is chips
    assert chips.bench is None
    assert Server(chips).process
