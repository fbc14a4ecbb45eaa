"""Surrogate BPTT: the unrolled design is the chip, and its gradient is that of a network unrolled by hand."""

import gc

import pytest
import snntorch
import torch
from snntorch import surrogate

from learning.model import Model
from learning.optimizers import Adam
from learning.stimulus import Batch, Stimulus
from learning.surrogate import SurrogateBPTT
from learning.through_time import fast_sigmoid
from learning.unrolled import Surrogate, Unrolled
from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec
from rate_bridge.encodings import CurrentEncoding, PhaseEncoding
from root.errors import UnsupportedError
from root.seeds import SeedTree
from spiketrain.arms.oracle import tell
from spiking.connections import AveragePool2d, Conv2d, Recurrent
from spiking.network import Connection, Layer, Network, chain
from spiking.neurons import ALIF, LIF, QIF, Rate
from spiking.neurons.equations import Equations
from spiking.simulators.torch import TorchSimulator

SIZES = (6, 12, 4)
ENCODINGS = {"currents": CurrentEncoding(), "spikes": PhaseEncoding()}
K = 5.0

OWN = Equations(
    "dv/dt = (current - w - v) / tau_m : 1\ndw/dt = -w / tau_w : 1",
    threshold="theta < v",
    reset="v = 0\nw += jump",
    values={"tau_m": "20 ms", "tau_w": "60 ms", "theta": 1, "jump": 0.1, "tau_syn": "10 ms"},
    bias=1.2,
)
SMOOTH = Equations(
    "dv/dt = (current - v) / tau_m : 1", emission="tanh(v)", values={"tau_m": "8 ms", "tau_syn": "5 ms"}
)
"""A neuron without spikes, from rest: what it does is differentiable."""


def graph(neuron, outputs=4) -> Network:
    """A convolution, means, a loop, delays, a skip from the input and one from a hidden layer."""
    layers = (
        Layer(4 * 4 * 2, neuron, (4, 4, 2)),
        Layer(2 * 2 * 2, neuron, (2, 2, 2)),
        Layer(outputs, neuron),
    )
    connections = (
        Connection(0, 1, 1, Conv2d(channels=2, kernel=3)),
        Connection(1, 2, 1, AveragePool2d(2, 3.0)),
        Connection(2, 3, 2),
        Connection(2, 2, 3, Recurrent()),
        Connection(1, 3),
        Connection(0, 3, 2),
        Connection(3, 1),
    )
    return Network(36, layers, connections, input_shape=(6, 6))


def setup(network, encoding="currents", cv=0.0, gain=3.0, steps=(80, 60)):
    stimulus = Stimulus(network, ENCODINGS[encoding], SeedTree(1), *steps)
    gains, spreads = (gain,) * len(network.connections), (0.3,) * network.depth
    model = Model(network, stimulus, 2, SeedTree(2), weight_gain=gains, bias_spread=spreads)
    names = ("threshold", "tau_m", "tau_syn", "weight") if cv else ()
    spec = MismatchSpec(2, 1, dict.fromkeys(names, Normal(cv=cv)))
    return ChipPopulation(network, spec, TorchSimulator(), SeedTree(0)), model


def batch_of(network, step=0):
    target = torch.full((4, network.outputs), 0.1, dtype=torch.float64)
    target[torch.arange(4), torch.arange(4) % network.outputs] = 0.8
    x = torch.from_numpy(SeedTree(3).generator().random((4, network.inputs)))
    return Batch(x, target, ("train", 0, step))


def observe(chips, model, batch):
    chips.program(model.weights())
    return chips.present(SurrogateBPTT().presentation(batch, model), *batch.key)


def leaves(model):
    weights = [w.detach().clone().requires_grad_() for w in model.forward_weights]
    return weights, [b.detach().clone().requires_grad_() for b in model.bias]


def gradients(rates, both):
    """Return the gradients of some function of the rates."""
    given = torch.linspace(0.3, 1.7, rates.numel(), dtype=torch.float64).view_as(rates)
    return torch.autograd.grad((given * rates).sum(), [*both[0], *both[1]])


def late(neuron) -> Network:
    """Three connections from the input, of different delays, onto one layer, and one past it."""
    layers = (Layer(12, neuron), Layer(4, neuron))
    ends = ((0, 1, 1), (1, 2, 1), (0, 1, 6), (0, 1, 11), (1, 1, 2), (0, 2, 4))
    return Network(6, layers, tuple(Connection(*one) for one in ends))


NETWORKS = {
    "chain": lambda: chain(SIZES, LIF(bias=1.1)),
    "held, delayed": lambda: chain(SIZES, LIF(bias=1.3, refractory_ms=2.0, reset=-0.2), delay_steps=3),
    "adaptive graph": lambda: graph(ALIF(bias=1.3, jump=0.2)),
    "equations": lambda: graph(OWN),
    "late inputs": lambda: late(LIF(bias=1.1)),
    "quadratic": lambda: chain(SIZES, QIF(bias=0.6)),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("name", "cv"), [*((name, 0.0) for name in NETWORKS), ("adaptive graph", 0.2)])
def test_the_unrolled_design_spikes_with_the_ideal_chip(name, cv, encoding):
    """It is told what was emitted, not the states at first: neurons agree from their first spike on.

    A mismatched chip is unrolled where an oracle tells what is in it.
    """
    network = NETWORKS[name]()
    chips, model = setup(network, encoding, cv)
    batch, own = batch_of(network), []
    if cv:
        tell(chips, model)

    def listening(distance):
        own.append((distance > 0).double())
        return own[-1]

    seen = observe(chips, model, batch)["free"]
    known = [model.known(index) for index in range(len(network.connections))]
    weights, synapses = [weight for _, weight in known], [own for own, _ in known]
    unrolled = Unrolled(model, batch, weights, list(model.bias), Surrogate(listening), synapses=synapses)
    rates = unrolled.rates(seen.traces["spikes"])
    assert torch.allclose(rates, seen.rates[-1], atol=1e-12)
    for layer, emitted in enumerate(seen.traces["spikes"]):
        after = (emitted.cumsum(2) - emitted) > 0
        assert int((emitted.bool() & after).sum()) > 10
        ours = torch.stack(own[layer :: network.depth], dim=2)
        assert torch.equal(emitted[after], ours[after])


class FastSigmoid(torch.autograd.Function):
    """The definition, written by hand."""

    @staticmethod
    def forward(ctx, distance):
        ctx.save_for_backward(distance)
        return (distance > 0).double()

    @staticmethod
    def backward(ctx, upwards):
        (distance,) = ctx.saved_tensors
        return upwards / (1 + K * distance.abs()) ** 2


def by_hand(network, phase, weights, biases, spikes, *, through_reset):
    """Adaptive neurons on any graph, as matrices and plain loops: the reference."""
    neuron, dt = network.layers[0].neuron, network.dt_ms
    drive, window = phase.drive.values, phase.window
    a, b, s = (torch.exp(torch.tensor(-dt / tau, dtype=torch.float64)) for tau in (20.0, 100.0, 10.0))
    matrices = [own.matrix(own.physical(w)) for own, w in zip(network.synapses, weights, strict=True)]
    chips, samples = spikes[0].shape[:2]
    zero = [torch.zeros(chips, samples, layer.size, dtype=torch.float64) for layer in network.layers]
    v, adaptation, synaptic = list(zero), list(zero), list(zero)
    past: list[list[torch.Tensor]] = []
    total = zero[-1]
    for t in range(len(window)):
        currents = [i + bias.unsqueeze(1) for i, bias in zip(synaptic, biases, strict=True)]
        for c, w in zip(network.connections, matrices, strict=True):
            if c.pre == 0:
                currents[c.post - 1] = currents[c.post - 1] + drive @ w
        emitted = []
        for n, current in enumerate(currents):
            v[n] = current + (v[n] - current) * a
            adaptation[n] = adaptation[n] * b
            own = FastSigmoid.apply(v[n] - (1.0 + adaptation[n]))
            spike = own + (spikes[n][:, :, t] - own).detach()
            reset = spike if through_reset else spike.detach()
            v[n] = v[n] * (1 - reset)
            adaptation[n] = adaptation[n] + neuron.jump * reset
            emitted.append(spike)
        past.append(emitted)
        synaptic = [i * s for i in synaptic]
        for c, w in zip(network.connections, matrices, strict=True):
            if c.pre > 0 and t >= c.delay_steps - 1:
                arriving = past[t - c.delay_steps + 1][c.pre - 1]
                synaptic[c.post - 1] = synaptic[c.post - 1] + arriving @ w * (1 - s) * network.spike_value
        total = total + window[t] * emitted[-1]
    return total * network.spike_value / window.sum()


@pytest.mark.parametrize("through_reset", [False, True])
def test_the_gradient_is_that_of_a_graph_unrolled_by_hand(through_reset):
    network = graph(ALIF(bias=1.3, jump=0.2))
    chips, model = setup(network, steps=(40, 30))
    batch = batch_of(network)
    spikes = observe(chips, model, batch)["free"].traces["spikes"]
    ours, theirs = leaves(model), leaves(model)
    unrolled = Unrolled(model, batch, *ours, Surrogate(FastSigmoid.apply, through_reset))
    found = unrolled.rates(spikes)
    phase = model.stimulus.phase("free", batch)
    wanted = by_hand(network, phase, *theirs, spikes, through_reset=through_reset)
    torch.testing.assert_close(found, wanted)
    pairs = zip(gradients(found, ours), gradients(wanted, theirs), strict=True)
    for mine, exact in pairs:
        assert float(exact.abs().max()) > 1e-6
        torch.testing.assert_close(mine, exact, rtol=1e-9, atol=1e-12)


def test_the_derivative_is_that_of_the_fast_sigmoid():
    distance = torch.linspace(-1.0, 1.0, 9, dtype=torch.float64, requires_grad=True)
    for fire in (fast_sigmoid(K), FastSigmoid.apply):
        spikes = fire(distance)
        (slopes,) = torch.autograd.grad(spikes.sum(), distance)
        assert spikes.tolist() == [0.0] * 5 + [1.0] * 4
        torch.testing.assert_close(slopes, (1 + K * distance.detach().abs()) ** -2, atol=1e-6, rtol=0)


def test_the_gradient_is_that_of_snntorch_through_leaky_and_synaptic_neurons():
    """One layer behind the input's currents is snn.Leaky, one behind spikes snn.Synaptic."""
    network = chain(SIZES, LIF(bias=1.1))
    chips, model = setup(network)
    batch, fire = batch_of(network), surrogate.fast_sigmoid(slope=K)
    spikes = observe(chips, model, batch)["free"].traces["spikes"]
    ours, theirs = leaves(model), leaves(model)
    found = Unrolled(model, batch, *ours, Surrogate(fire)).rates(spikes)
    phase = model.stimulus.phase("free", batch)
    a, s = (torch.exp(torch.tensor(-1.0 / tau, dtype=torch.float64)) for tau in (20.0, 10.0))
    options = {"reset_mechanism": "none", "spike_grad": fire}
    first = snntorch.Leaky(beta=a, **options)
    second = snntorch.Synaptic(alpha=s, beta=a, **options)
    for membrane in (first, second):  # snnTorch lists every module ever made
        snntorch.SpikingNeuron.instances.remove(membrane)
    (w, out), (bias, last) = theirs
    mem, syn, own = (
        torch.zeros(2, 4, 12).double(),
        torch.zeros(2, 4, 4).double(),
        torch.zeros(2, 4, 4).double(),
    )
    constant, total, spike = torch.zeros(2, 4, 4).double(), torch.zeros(2, 4, 4).double(), None
    for t in range(len(phase.window)):
        drive = phase.drive.values @ w + bias.unsqueeze(1)
        # what arrived in the last step is what a synapse of snnTorch takes up in this one
        arrived = 0.0 if spike is None else (1 - a) * (1 - s) * network.spike_value * (spike @ out)
        z, syn, raised = second(arrived + torch.zeros_like(syn), syn, own)
        constant = a * constant + (1 - a) * last.unsqueeze(1)
        mine = fire(raised + constant - 1.0)
        mine = mine + (spikes[1][:, :, t] - mine).detach()
        kept = 1 - mine.detach()
        own, constant = raised * kept, constant * kept
        z, mem = first((1 - a) * drive, mem)
        spike = z + (spikes[0][:, :, t] - z).detach()
        mem = mem * (1 - spike.detach())
        total = total + phase.window[t] * mine
    wanted = total * network.spike_value / phase.window.sum()
    torch.testing.assert_close(found, wanted)
    pairs = zip(gradients(found, ours), gradients(wanted, theirs), strict=True)
    for mine, exact in pairs:
        torch.testing.assert_close(mine, exact, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_without_spikes_it_is_the_gradient_of_what_the_chips_do(encoding):
    """Finite differences on the chips: a graph of smooth neurons, from rest on, before it has settled."""
    network = graph(SMOOTH)
    chips, model = setup(network, encoding, gain=1.0, steps=(30, 20))
    rule, batch = SurrogateBPTT(), batch_of(network)
    update = rule.update(batch, observe(chips, model, batch), model)
    biases = [change.bias() for change in update.connections if change.bias() is not None]
    changes = [change.weight() for change in update.connections] + biases
    g = torch.Generator().manual_seed(1)

    def loss():
        rates = observe(chips, model, batch)["free"].rates[-1]
        return rule.loss.value(rates, batch.target).mean(1)

    for index, (parameter, change) in enumerate(
        zip([*model.forward_weights, *model.bias], changes, strict=True)
    ):
        if index == 1:  # means are not trained
            assert not bool(change.any())
            continue
        direction = torch.randn(parameter.shape, generator=g, dtype=torch.float64)
        before, ends = parameter.data.clone(), []
        for step in (1e-5, -1e-5):
            parameter.data = before + step * direction
            ends.append(loss())
        parameter.data = before
        wanted = (ends[0] - ends[1]) / 2e-5
        assert float(wanted.abs().min()) > 1e-7
        along = -(change * direction).flatten(1).sum(1)
        torch.testing.assert_close(along, wanted, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("cv", [0.0, 0.2])
@pytest.mark.parametrize("name", ["chain", "adaptive graph"])
def test_the_loss_falls(name, cv):
    network = NETWORKS[name]()
    chips, model = setup(network, cv=cv)
    rule, losses = SurrogateBPTT(), []
    stepper = Adam().bind(model, (1.0,) * len(network.connections))
    for step in range(24):
        batch = batch_of(network, step)
        update = rule.update(batch, observe(chips, model, batch), model)
        stepper.apply(update, 0.05)
        losses.append(update.measures["loss"])
    assert bool((torch.stack(losses[-5:]).mean(0) < 0.75 * torch.stack(losses[:5]).mean(0)).all())


def test_a_spike_without_a_distance_is_refused_and_every_neuron_with_one_is_taken():
    both = Equations(
        "dv/dt = current / tau : 1", threshold="v > 1 and v < 9", reset="v = 0", values={"tau": "5 ms"}
    )
    with pytest.raises(UnsupportedError, match=r"network\.neuron\.threshold.*one comparison"):
        SurrogateBPTT().check(chain(SIZES, both))
    for neuron in (LIF(refractory_ms=2.0, reset=-0.5), ALIF(), QIF(), OWN, Rate()):
        SurrogateBPTT().check(chain(SIZES, neuron))
        SurrogateBPTT().check_connections(graph(neuron), on_chip=False)


def test_nothing_of_an_update_stays_in_memory():
    network = NETWORKS["chain"]()
    chips, model = setup(network)
    batch, rule = batch_of(network), SurrogateBPTT()
    seen = observe(chips, model, batch)
    gc.collect()
    gc.disable()  # what only the collector can free grows with every batch
    try:
        rule.update(batch, seen, model)
        alive = [o for o in gc.get_objects() if issubclass(type(o), torch.Tensor) and o.grad_fn is not None]
    finally:
        gc.enable()
    assert not alive
