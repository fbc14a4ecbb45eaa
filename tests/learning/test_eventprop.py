"""EventProp against differences of a simulation in continuous time, whose spikes come when they come."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from test_surrogate import batch_of, setup

from learning.eventprop import EventProp
from learning.losses import Squared
from learning.model import Model
from learning.optimizers import Adam
from learning.stimulus import Batch, Stimulus
from rate_bridge.encodings import CurrentEncoding
from root.errors import UnsupportedError
from root.seeds import SeedTree
from spiketrain.observing import shown
from spiking.connections import Recurrent
from spiking.network import Connection, Layer, Network, chain
from spiking.neurons import ALIF, LI, LIF
from spiking.presentation import Recording

TAU, READ, SYN, ADAPT, END, START = 20.0, 15.0, 8.0, 40.0, 60.0, 20.0
HIDDEN, OUTPUTS, INPUTS = 4, 2, 3


def network(dt_ms, neuron) -> Network:
    """A recurrent layer, read out by potentials; a skip, and a way back from them."""
    layers = (Layer(HIDDEN, neuron), Layer(OUTPUTS, LI(tau_m_ms=READ, tau_syn_ms=SYN)))
    connections = (Connection(0, 1), Connection(1, 2), Connection(1, 1, 1, Recurrent()), Connection(0, 2))
    return Network(INPUTS, layers, connections, dt_ms=dt_ms)


def neuron(jump=0.0, **options):
    own = {"tau_m_ms": TAU, "tau_syn_ms": SYN, "bias": 2.0, **options}
    return ALIF(tau_a_ms=ADAPT, jump=jump, **own) if jump else LIF(**own)


def model_on(dt_ms, jump=0.0) -> Model:
    design = network(dt_ms, neuron(jump))
    stimulus = Stimulus(
        design, CurrentEncoding(), SeedTree(1), round(END / dt_ms), round((END - START) / dt_ms)
    )
    return Model(design, stimulus, 1, SeedTree(2), weight_gain=(2.0,) * 4, bias_spread=(0.3,) * 2)


@dataclass
class Continuous:
    """One sample, in continuous time: closed forms between spikes, whose times are found by bisection.

    Args:
        weights: per connection as matrices, then biases.
        x: inputs, constant currents.
        jump: of the threshold at a spike.
    """

    weights: list
    x: np.ndarray
    jump: float

    def __post_init__(self) -> None:
        to_hidden, self.out, self.loop, skip, bias, last = self.weights
        self.onto, self.read = self.x @ to_hidden + bias, self.x @ skip + last

    def flow(self, state, span):
        """Return potentials, synaptic currents and adaptation some time later, and the output's integral."""
        v, i, a, u, j = state
        s = math.exp(-span / SYN)

        def membrane(v0, i0, constant, tau):
            m, part = math.exp(-span / tau), i0 * SYN / (SYN - tau)
            value = v0 * m + constant * (1 - m) + part * (s - m)
            integral = (v0 - constant - part) * tau * (1 - m) + constant * span + part * SYN * (1 - s)
            return value, integral

        later, _ = membrane(v, i, self.onto, TAU)
        read, integral = membrane(u, j, self.read, READ)
        return (later, i * s, a * math.exp(-span / ADAPT), read, j * s), integral

    def above(self, state, span):
        """Return how far neurons are above their thresholds some time later."""
        v, _, a, *_ = self.flow(state, span)[0]
        return v - 1.0 - a

    def first(self, state, span):
        """Return when the next neuron reaches its threshold and which one, or None if it is later."""
        low, high = 0.0, span
        if (self.above(state, span) <= 0).all():
            return None
        for _ in range(45):
            middle = (low + high) / 2
            low, high = (middle, high) if (self.above(state, middle) <= 0).all() else (low, middle)
        return high, int(self.above(state, high).argmax())

    def run(self, dt_ms=None):
        """Return the output's mean potentials, the spikes, and its potentials at the ends of steps."""
        zero, total, now, spikes, seen = np.zeros(HIDDEN), 0.0, 0.0, [], []
        state = (zero, zero, zero, np.zeros(OUTPUTS), np.zeros(OUTPUTS))
        stops = sorted({START, END, *(k * 1.0 for k in range(1, round(END)))})
        grid = [] if dt_ms is None else [dt_ms * (k + 1) for k in range(round(END / dt_ms))]
        gain = 1000.0 / (100.0 * SYN)
        while stops:
            found = self.first(state, stops[0] - now)
            span = stops[0] - now if found is None else found[0]
            while grid and grid[0] <= now + span + 1e-9:
                seen.append(self.flow(state, grid.pop(0) - now)[0][3])
            state, integral = self.flow(state, span)
            total = total + (integral if now >= START else 0.0)
            now += span
            if found is None:
                stops.pop(0)
                continue
            n = found[1]
            v, i, a, u, j = (own.copy() for own in state)
            v[n], a[n] = 0.0, a[n] + self.jump
            i, j = i + self.loop[n] * gain, j + self.out[n] * gain
            state, spikes = (v, i, a, u, j), [*spikes, (now, n)]
        return total / (END - START), spikes, seen


def continuous(model, x, jump):
    matrices = [model.matrix(index)[0].detach().numpy() for index in range(4)]
    return Continuous([*matrices, *(bias[0].detach().numpy() for bias in model.bias)], x.numpy(), jump)


def differences(model, x, target, jump):
    """Return slopes of the loss, each along a direction of a weight or bias, and the number of spikes."""
    generator, found, counts = torch.Generator().manual_seed(7), [], set()
    for parameter in (*model.forward_weights, *model.bias):
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        before, ends = parameter.data.clone(), []
        for step in (1e-5, -1e-5):
            parameter.data = before + step * direction
            rates, spikes, _ = continuous(model, x, jump).run()
            ends.append(float(Squared().value(torch.from_numpy(rates), target)))
            counts.add(len(spikes))
        parameter.data = before
        found.append(((ends[0] - ends[1]) / 2e-5, direction))
    (count,) = counts  # none came or went
    return found, count


def of_rule(rule, dt_ms, x, target, jump):
    """Return what the rule makes of spikes in continuous time, seen in steps."""
    model = model_on(dt_ms, jump)
    rates, spikes, read = continuous(model, x, jump).run(dt_ms)
    rates = torch.from_numpy(rates)
    seen = torch.zeros(1, 1, round(END / dt_ms), HIDDEN).double()
    for time, n in spikes:
        seen[0, 0, math.ceil(time / dt_ms) - 1, n] = 1.0
    traces = {"spikes": (seen, torch.from_numpy(np.stack(read)).view(1, 1, -1, OUTPUTS))}
    hidden = torch.zeros(1, 1, HIDDEN).double()
    recording = Recording((x.view(1, 1, -1), hidden, rates.view(1, 1, -1)), (), None, rates, traces=traces)
    batch = Batch(x.unsqueeze(0), target.unsqueeze(0), ("train", 0))
    changes = rule.update(batch, {"free": recording}, model).connections
    return [*(own.weight() for own in changes), *(changes[index].bias() for index in (0, 1))]


@pytest.mark.parametrize("jump", [0.0, 0.15])
def test_it_is_the_gradient_in_continuous_time_up_to_the_step(jump):
    """Through recurrent spikes, resets and, where the neuron adapts, thresholds."""
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(INPUTS, generator=generator, dtype=torch.float64)
    target = torch.tensor([0.4, 0.9], dtype=torch.float64)
    exact, count = differences(model_on(0.1, jump), x, target, jump)
    assert count >= 5
    rule = EventProp(Squared(), slowest=1e-6)
    off = []
    for dt_ms in (0.4, 0.2):
        mine = of_rule(rule, dt_ms, x, target, jump)
        along = np.array(
            [-float((own * direction).sum()) for own, (_, direction) in zip(mine, exact, strict=True)]
        )
        wanted = np.array([slope for slope, _ in exact])
        assert np.abs(wanted).min() > 0.05
        off.append(np.linalg.norm(along - wanted) / np.linalg.norm(wanted))
    assert off[1] < 0.01
    assert off[1] < 0.65 * off[0]


def test_a_spike_that_the_design_would_not_have_changes_no_more_than_the_slowest_one():
    """The chip spikes where its design stays far below its threshold and sinks."""
    model = model_on(0.2)
    model.bias[0].data.fill_(-0.5)
    x, target = torch.zeros(INPUTS).double(), torch.tensor([0.4, 0.9], dtype=torch.float64)
    seen = torch.zeros(1, 1, 300, HIDDEN).double()
    seen[:, :, 120] = 1.0
    traces = {"spikes": (seen, torch.zeros(1, 1, 300, OUTPUTS).double())}
    nothing = torch.zeros(1, 1, OUTPUTS).double()
    recording = Recording((x.view(1, 1, -1), seen[:, :, 0], nothing), (), None, nothing, traces=traces)
    batch, found = Batch(x.unsqueeze(0), target.unsqueeze(0), ("train", 0)), []
    for slowest in (0.01, 0.02):
        changes = EventProp(Squared(), slowest).update(batch, {"free": recording}, model).connections
        found.append(changes[0].bias())
        assert bool((found[-1] != 0).all())
    torch.testing.assert_close(found[0], 2.0 * found[1])


def test_the_loss_falls_on_mismatched_chips():
    layers = (Layer(12, LIF(bias=1.3)), Layer(4, LI()))
    design = Network(6, layers, (Connection(0, 1), Connection(1, 2)))
    chips, model = setup(design, cv=0.2)
    rule, losses = EventProp(), []
    stepper = Adam().bind(model, (1.0,) * 2)
    for step in range(20):
        batch = batch_of(design, step)
        update = rule.update(batch, shown(rule, chips, batch, model).observation, model)
        stepper.apply(update, 0.05)
        losses.append(update.measures["loss"])
    assert bool((torch.stack(losses[-5:]).mean(0) < 0.75 * torch.stack(losses[:5]).mean(0)).all())


def test_outputs_that_spike_and_resets_that_hold_are_refused():
    with pytest.raises(UnsupportedError, match=r"network\.output_neuron.*lif.*li"):
        EventProp().check(chain((3, 4, 2), LIF()))
    with pytest.raises(UnsupportedError, match=r"network\.neuron\.refractory_ms"):
        EventProp().check(network(1.0, neuron(refractory_ms=2.0)))
    EventProp().check(network(1.0, neuron(jump=0.1)))
