"""e-prop: traces that run forwards, and backpropagation through time cut between neurons, give the same.

Tolerances are those of snnTorch's derivative, which is of single precision.
"""

from dataclasses import replace

import pytest
import torch
from test_surrogate import FastSigmoid, K, batch_of, graph, observe, setup

from learning.answers import answer
from learning.e_prop import Broadcast, EProp
from learning.model import Model
from learning.optimizers import Adam
from learning.stimulus import Batch, Stimulus
from learning.surrogate import SurrogateBPTT
from learning.unrolled import Surrogate, Unrolled
from learning.window_means import WindowMeans, spread
from mismatch.chip import ChipPopulation
from mismatch.spec import MismatchSpec
from rate_bridge.encodings import CurrentEncoding, PhaseEncoding
from root.errors import UnsupportedError
from root.seeds import SeedTree
from spiketrain.config.effects import check_part
from spiketrain.observing import shown
from spiking.connections import Recurrent
from spiking.network import Connection, Layer, Network, chain
from spiking.neurons import ALIF, LI, LIF
from spiking.simulators.torch import TorchSimulator

STEPS, SAMPLES, CHIPS = 60, 4, 2
A, A_OUT, S, ADAPTED = (
    torch.exp(torch.tensor(-1.0 / tau, dtype=torch.float64)) for tau in (20.0, 15.0, 10.0, 100.0)
)


def recurrent(neuron, output=None, delay=2) -> Network:
    """One recurrent layer and its read-out, with a skip from the input."""
    layers = (Layer(7, neuron), Layer(3, output or LI(tau_m_ms=15.0)))
    connections = (
        Connection(0, 1),
        Connection(1, 2, delay),
        Connection(1, 1, 3, Recurrent()),
        Connection(0, 2),
    )
    return Network(5, layers, connections)


def taught(network, rule, windows=1, encoding="currents"):
    """Return a model, what ideal chips showed of a batch, and the batch."""
    stimulus = Stimulus(
        network,
        {"currents": CurrentEncoding(), "spikes": PhaseEncoding()}[encoding],
        SeedTree(1),
        STEPS,
        12,
        windows=windows,
    )
    gains, spreads = (2.0,) * len(network.connections), (0.3,) * network.depth
    model = Model(network, stimulus, CHIPS, SeedTree(2), weight_gain=gains, bias_spread=spreads)
    chips = ChipPopulation(network, MismatchSpec(CHIPS), TorchSimulator(), SeedTree(0))
    generator = SeedTree(3).generator()
    target = torch.from_numpy(generator.random((SAMPLES * windows, network.outputs)))
    batch = Batch(torch.from_numpy(generator.random((SAMPLES, network.inputs))), target, ("train", 0))
    rule.start(model)
    return model, shown(rule, chips, batch, model).observation, batch


def cut(model, batch, spikes, leaves, jump):
    """Return the output's rates of adaptive neurons: matrices, plain loops, no gradient between neurons."""
    network = model.network
    (to_hidden, out, loop, skip), (bias, last) = leaves
    loop = network.synapses[2].matrix(loop)
    phase = model.stimulus.phase("free", batch)
    drive, window = phase.drive.values, phase.window.view(phase.windows, -1)
    v = adaptation = current = spikes[0].new_zeros(CHIPS, SAMPLES, 7)
    read = reaching = spikes[0].new_zeros(CHIPS, SAMPLES, 3)
    sent, means = [], []
    for t in range(STEPS):
        into = current + bias.unsqueeze(1) + drive @ to_hidden
        v = into + (v - into) * A
        adaptation = adaptation * ADAPTED
        own = FastSigmoid.apply(v - 1.0 - adaptation)
        spike = own + (spikes[0][:, :, t] - own).detach()
        v, adaptation = v * (1 - spike.detach()), adaptation + jump * spike.detach()
        onto = reaching + last.unsqueeze(1) + drive @ skip
        read = onto + (read - onto) * A_OUT
        sent.append(spike)
        current, reaching = current * S, reaching * S
        if t >= 2:  # cut: what others did is taken as it was
            current = current + sent[t - 2].detach() @ loop * (1 - S) * network.spike_value
        if t >= 1:
            reaching = reaching + sent[t - 1] @ out * (1 - S) * network.spike_value
        means.append(read)
    parts = torch.stack(means, dim=2).view(CHIPS, SAMPLES, phase.windows, -1, 3)
    shares = window / window.sum(1, keepdim=True)
    return (parts * shares.unsqueeze(2)).sum(3).view(CHIPS, -1, 3)


@pytest.mark.parametrize("windows", [1, 3])
@pytest.mark.parametrize("jump", [0.0, 0.2])
def test_it_is_backpropagation_through_time_without_paths_between_neurons(jump, windows):
    network = recurrent(ALIF(bias=1.3, jump=jump) if jump else LIF(bias=1.3))
    rule = EProp(steepness=K)
    model, observation, batch = taught(network, rule, windows)
    spikes = observation["free"].traces["spikes"]
    assert float(spikes[0].sum()) > 50
    weights = [w.detach().clone().requires_grad_() for w in model.forward_weights]
    biases = [b.detach().clone().requires_grad_() for b in model.bias]
    rates = cut(model, batch, spikes, (weights, biases), jump)
    measured = observation["free"].rates[-1]
    # the output began elsewhere; errors are those of what was measured
    (error,) = torch.autograd.grad(
        rule.loss.value(leaf := measured.clone().requires_grad_(), batch.target).mean(1).sum(), leaf
    )
    (rates * error).sum().backward()
    changes = rule.update(batch, observation, model).connections
    for change, weight in zip(changes, weights, strict=True):
        assert float(weight.grad.abs().max()) > 1e-6
        torch.testing.assert_close(change.weight(), -weight.grad, rtol=1e-5, atol=1e-8)
    for index, bias in enumerate(biases):
        torch.testing.assert_close(changes[index].bias(), -bias.grad, rtol=1e-5, atol=1e-8)


def test_it_is_the_sum_of_signals_times_traces_that_run_forwards():
    """Bellec et al.: every synapse has its traces, filtered as the read-out filters; errors come in time."""
    network, rule = recurrent(LIF(bias=1.3), delay=1), EProp(steepness=K)
    model, observation, batch = taught(network, rule, windows=3)
    seen = observation["free"]
    spikes, outputs = seen.traces["spikes"][0], model.forward_weights[1].detach()
    phase = model.stimulus.phase("free", batch)
    errors = rule.loss.error(seen.rates[-1], batch.target).view(CHIPS, SAMPLES, 3, 3) / (SAMPLES * 3)
    shares = phase.window.view(3, -1)
    drive, gain = phase.drive.values, (1 - S) * network.spike_value
    weights = [model.matrix(index) for index in range(4)]
    v = current = spikes.new_zeros(CHIPS, SAMPLES, 7)
    arrived, of_loop, of_input, eligible, filtered = (
        spikes.new_zeros(CHIPS, SAMPLES, n, 7) for n in (7, 7, 5, 12, 12)
    )
    read, total = torch.zeros_like(eligible), torch.zeros_like(eligible)
    for t in range(STEPS):
        into = current + model.bias[0].unsqueeze(1) + drive @ weights[0]
        v = into + (v - into) * A
        of_loop = arrived * (1 - A) + of_loop * A
        of_input = (drive.view(SAMPLES, 5, 1) * (1 - A)) + of_input * A
        slope = 1 / (1 + K * (v - 1.0).abs()) ** 2
        # the read-out filters what arrived up to the last step: its synapse, then its membrane
        read = filtered * (1 - A_OUT) + read * A_OUT
        eligible = torch.cat([of_loop, of_input], dim=2) * slope.unsqueeze(2)
        filtered = filtered * S + eligible * gain
        kept = (1 - spikes[:, :, t]).unsqueeze(2)
        v, of_loop, of_input = v * kept.squeeze(2), of_loop * kept, of_input * kept
        window = t // (STEPS // 3)
        share = shares[window, t % (STEPS // 3)] / shares[window].sum()
        told = torch.einsum("cbk,cjk->cbj", errors[:, :, window] * share, outputs)
        total = total + told.unsqueeze(2) * read
        current, arrived = current * S, arrived * S
        if t >= 2:
            current = current + spikes[:, :, t - 2] @ weights[2] * gain
            arrived = arrived + spikes[:, :, t - 2].unsqueeze(3) * gain
    changes = rule.update(batch, observation, model).connections
    loop, onto = total.sum(1).split([7, 5], dim=1)
    assert float(onto.abs().max()) > 1e-4
    torch.testing.assert_close(changes[0].weight(), onto, rtol=1e-5, atol=1e-8)
    wanted = network.synapses[2].of_matrix(loop)
    assert float(wanted.abs().max()) > 1e-5
    torch.testing.assert_close(changes[2].weight(), wanted, rtol=1e-5, atol=1e-8)


def test_a_spiking_output_learns_as_by_backpropagation_and_answers_by_synapse_and_membrane():
    network = recurrent(ALIF(bias=1.3, jump=0.2), LIF(bias=1.2))
    rule, exact = EProp(steepness=K), SurrogateBPTT(steepness=K)
    model, observation, batch = taught(network, rule, encoding="spikes")
    mine = rule.update(batch, observation, model).connections
    theirs = exact.update(batch, observation, model).connections
    for index in (1, 3):
        torch.testing.assert_close(mine[index].weight(), theirs[index].weight(), rtol=1e-5, atol=1e-8)
    for index in (0, 2):
        assert bool(mine[index].weight().any())
        assert not torch.allclose(mine[index].weight(), theirs[index].weight(), rtol=1e-2)
    found = answer(model, STEPS)
    steps = torch.arange(1, STEPS - 1, dtype=torch.float64)
    wanted = torch.cat([torch.zeros(2).double(), A**steps - S**steps])  # it arrives after two steps
    torch.testing.assert_close(found, wanted / wanted.sum())


def test_without_loops_one_hidden_layer_has_no_path_to_cut():
    network = chain((5, 7, 3), [LIF(bias=1.3), LI(tau_m_ms=15.0)])
    model, observation, batch = taught(network, EProp(steepness=K), windows=3)
    rules = (EProp(steepness=K), SurrogateBPTT(steepness=K))
    pairs = [rule.update(batch, observation, model).connections for rule in rules]
    for mine, theirs in zip(*pairs, strict=True):
        assert float(theirs.weight().abs().max()) > 1e-4
        torch.testing.assert_close(mine.weight(), theirs.weight(), rtol=1e-5, atol=1e-8)


def test_errors_of_windows_are_spread_as_means_are_taken():
    network = chain((5, 3), LIF(bias=1.3))
    model, _, batch = taught(network, EProp(), windows=3)
    phase = replace(
        model.stimulus.phase("free", batch),
        lengths=torch.tensor([60, 45, 20, 31]),
        counted=torch.tensor([[True, False, True]] * 4),
    )
    generator = torch.Generator().manual_seed(1)
    emitted = torch.rand(CHIPS, SAMPLES, STEPS, 3, generator=generator, dtype=torch.float64)
    means = WindowMeans(phase, emitted)
    for t in range(STEPS):
        means.add(t, emitted[:, :, t])
    rates = means.rates(0.7)
    errors = torch.rand(rates.shape, generator=generator, dtype=torch.float64)
    spreading = (spread(phase, errors, 0.7) * emitted).sum()
    torch.testing.assert_close((rates * errors).sum(), spreading)


def test_with_potentials_measured_the_design_spikes_with_the_chip_from_the_second_step_on():
    """Chips begin anywhere, which the design is told by the potentials alone."""
    network = graph(ALIF(bias=1.3, jump=0.2))
    rule = EProp(voltages=True)
    _, model = setup(network)
    chips = ChipPopulation(network, MismatchSpec(2), TorchSimulator(), SeedTree(7))
    batch = batch_of(network)
    seen = shown(rule, chips, batch, model).observation["free"]
    wrong = []
    for potentials in (None, seen.traces["voltage"]):
        own: list[torch.Tensor] = []

        def listening(distance, own=own):
            own.append((distance > 0).double())
            return own[-1]

        unrolled = Unrolled(model, batch, list(model.forward_weights), list(model.bias), Surrogate(listening))
        for _ in unrolled.emissions(seen.traces["spikes"], potentials):
            pass
        off = 0.0
        for layer, emitted in enumerate(seen.traces["spikes"]):
            ours = torch.stack(own[layer :: network.depth], dim=2)
            off += float((ours - emitted)[:, :, 1:].abs().sum())
        wrong.append(off)
    assert wrong[0] > 20
    assert wrong[1] == 0
    free = rule.update(batch, {"free": seen}, model).connections[0].weight()
    assert not torch.equal(free, EProp().update(batch, {"free": seen}, model).connections[0].weight())


def test_random_feedback_that_has_the_weights_is_symmetric_and_adaptive_comes_to_have_them():
    network = recurrent(LIF(bias=1.3))
    rule = EProp(feedback="random")
    model, observation, batch = taught(network, rule)
    model.memory |= Broadcast({0: model.forward_weights[1].transpose(1, 2).clone()}).entries()
    pairs = [own.update(batch, observation, model).connections for own in (rule, EProp())]
    for mine, exact in zip(*pairs, strict=True):
        torch.testing.assert_close(mine.weight(), exact.weight())
    rule = EProp(feedback="adaptive", decay=0.02)
    model, observation, batch = taught(network, rule)
    gap = Broadcast.of(model.memory).weights[0] - model.forward_weights[1].transpose(1, 2)
    stepper = Adam().bind(model, (1.0,) * 4)
    for _ in range(10):
        before = [w.detach().clone() for w in model.forward_weights]
        stepper.apply(rule.update(batch, observation, model), 0.05)
        steps = (w.detach() - b for w, b in zip(model.forward_weights, before, strict=True))
        rule.follow(tuple(steps), model)
    now = Broadcast.of(model.memory).weights[0] - model.forward_weights[1].transpose(1, 2)
    torch.testing.assert_close(now, gap * 0.98**10)


def test_what_would_do_nothing_and_what_cannot_follow_are_refused():
    with pytest.raises(UnsupportedError, match=r"rule\.feedback.*adaptive.*hidden 1"):
        EProp(feedback="adaptive").check(chain((5, 4, 4, 3), LIF()))
    for rule in (EProp(scale=2.0), EProp(feedback="random", decay=0.1)):
        with pytest.raises(Exception, match=r"rule\.(scale|decay)"):
            check_part("rule", rule)


@pytest.mark.parametrize("feedback", ["symmetric", "random"])
def test_the_loss_falls_on_mismatched_chips(feedback):
    network = recurrent(ALIF(bias=1.3, jump=0.2), LIF(bias=1.2))
    network = replace(network, inputs=6)
    chips, model = setup(network, cv=0.2)
    rule, losses = EProp(feedback=feedback), []
    rule.start(model)
    stepper = Adam().bind(model, (1.0,) * len(network.connections))
    for step in range(20):
        batch = batch_of(network, step)
        update = rule.update(batch, observe(chips, model, batch), model)
        stepper.apply(update, 0.05)
        losses.append(update.measures["loss"])
    assert bool((torch.stack(losses[-5:]).mean(0) < 0.75 * torch.stack(losses[:5]).mean(0)).all())
