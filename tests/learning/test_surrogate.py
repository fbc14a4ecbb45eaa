"""Surrogate BPTT: the unrolled design is the chip, and its gradient descends."""

import gc

import pytest
import snntorch
import torch

from learning.model import Model
from learning.optimizers import Adam
from learning.stimulus import Batch, Stimulus
from learning.surrogate import SurrogateBPTT, _Unrolled
from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec
from rate_bridge.encodings import CurrentEncoding, PhaseEncoding
from rate_bridge.errors import UnsupportedError
from rate_bridge.seeds import SeedTree
from spiking.network import chain
from spiking.neurons import LIF, Rate
from spiking.simulators.torch import TorchSimulator

SIZES = (6, 12, 4)
ENCODINGS = {"currents": CurrentEncoding(), "spikes": PhaseEncoding()}


def chip_and_model(encoding, cv=0.0, delay_steps=1):
    network = chain(SIZES, LIF(bias=1.1), delay_steps=delay_steps)
    stimulus = Stimulus(network, ENCODINGS[encoding], SeedTree(1), 80, 60)
    model = Model(network, stimulus, 2, SeedTree(2), weight_gain=(3.0, 3.0), bias_spread=(0.3, 0.1))
    spec = MismatchSpec(2, 1, {"threshold": Normal(cv=cv), "weight": Normal(cv=cv)} if cv else {})
    return ChipPopulation(network, spec, TorchSimulator(), SeedTree(0)), model


def batch_of(step=0):
    target = torch.full((4, 4), 0.1, dtype=torch.float64)
    target[torch.arange(4), torch.arange(4)] = 0.8
    return Batch(torch.from_numpy(SeedTree(3).generator().random((4, 6))), target, ("train", 0, step))


def observe(chips, model, batch):
    chips.program(model.weights())
    return chips.present(SurrogateBPTT().presentation(batch, model), *batch.key)


@pytest.mark.parametrize("delay_steps", [1, 3])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_from_its_first_spike_on_every_neuron_of_the_design_spikes_with_the_ideal_chip(encoding, delay_steps):
    chips, model = chip_and_model(encoding, delay_steps=delay_steps)
    batch = batch_of()
    seen = observe(chips, model, batch)["free"]
    unrolled = _Unrolled(model, batch, list(model.forward_weights), list(model.bias), 25.0)
    own: list[list[torch.Tensor]] = [[], []]

    def listening(membrane, kept):
        def step(current, potential):
            spike, moved = membrane(current, potential)
            kept.append(spike)
            return spike, moved

        return step

    unrolled.membranes = [listening(m, kept) for m, kept in zip(unrolled.membranes, own, strict=True)]
    rates = unrolled.rates(seen.traces["spikes"])
    assert torch.allclose(rates, seen.rates[-1], atol=1e-12)
    for emitted, kept in zip(seen.traces["spikes"], own, strict=True):
        after = (emitted.cumsum(2) - emitted) > 0
        assert int((emitted.bool() & after).sum()) > 20
        assert torch.equal(emitted[after], torch.stack(kept, dim=2)[after])


@pytest.mark.parametrize("cv", [0.0, 0.2])
def test_the_loss_falls(cv):
    chips, model = chip_and_model("currents", cv)
    rule, losses = SurrogateBPTT(), []
    stepper = Adam().bind(model, (1.0, 1.0))
    for step in range(30):
        batch = batch_of(step)
        update = rule.update(batch, observe(chips, model, batch), model)
        stepper.apply(update, 0.05)
        losses.append(update.measures["loss"])
    assert bool((torch.stack(losses[-5:]).mean(0) < 0.7 * torch.stack(losses[:5]).mean(0)).all())


def test_what_snntorch_cannot_express_is_refused():
    for neuron in (LIF(refractory_ms=2.0), LIF(reset=-0.5), Rate()):
        with pytest.raises(UnsupportedError):
            SurrogateBPTT().check(chain(SIZES, neuron))


def test_nothing_of_an_update_stays_in_memory():
    chips, model = chip_and_model("currents")
    batch, rule = batch_of(), SurrogateBPTT()
    seen = observe(chips, model, batch)
    listed = len(snntorch.SpikingNeuron.instances)
    gc.collect()
    gc.disable()  # what only the collector can free grows with every batch
    try:
        rule.update(batch, seen, model)
        alive = [o for o in gc.get_objects() if issubclass(type(o), torch.Tensor) and o.grad_fn is not None]
    finally:
        gc.enable()
    assert not alive
    assert len(snntorch.SpikingNeuron.instances) == listed
