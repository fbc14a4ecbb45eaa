"""Quantisation, and the emulator against an independent integer version of the same step."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rate_bridge.filters import window
from root.errors import InputError
from spiking.blocks.block import stack
from spiking.blocks.snapshots import initial_snapshot
from spiking.hardware import Hardware
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import Controller, CurrentDrive, Phase, SpikeDrive
from spiking.simulators.fixed_point import RANGES, emulate, quantise
from spiking.simulators.fixed_point.ranges import check
from spiking.simulators.fixed_point.registers import bias_register, decay_register, weight_register
from spiking.simulators.fixed_point.simulator import LoihiSimulator
from spiking.simulators.lava.runtime.loihi import decayed, wrapped
from spiking.simulators.lava.runtime.neurons import FIXED
from spiking.simulators.torch import TorchSimulator

LIMIT = 1 << 23


def problem(*, chips=3, batch=8, steps=100, refractory_ms=0.0, gain=2.0, bias=0.5):
    network = chain([30, 40, 5], LIF(bias=bias, refractory_ms=refractory_ms))
    g = torch.Generator().manual_seed(4)

    def spread(layer, field):
        nominal = torch.full((chips, layer.size), float(getattr(layer.neuron, field))).double()
        return nominal * (1 + 0.2 * torch.randn(chips, layer.size, generator=g).double()).clamp(0.4, 1.6)

    values = tuple(
        {p.field: spread(layer, p.field) for p in layer.neuron.parameters} for layer in network.layers
    )
    sizes, one = network.sizes, torch.ones(chips, 5).double()
    hardware = Hardware(
        neurons=values,
        shadows=values,
        weights=tuple(
            gain * torch.randn(chips, a, b, generator=g).double() / a**0.5 + 0.02 for a, b in pairwise(sizes)
        ),
        feedback=tuple(0.3 * torch.randn(chips, 5, n, generator=g).double() for n in sizes[1:]),
        readout={"gain": one, "offset": 0 * one, "kp": one, "ki": one},
    )
    drive = SpikeDrive(torch.rand(batch, steps, 30, generator=g) < 0.1)
    target = torch.rand(batch, 5, generator=g).double()
    phase = Phase("p", drive, window(steps, steps), controller=Controller(target), shadow=True)
    uniform = [torch.rand(chips, batch, n, generator=g).double() for n in sizes[1:]]
    start = initial_snapshot(network, hardware, uniform, shadow=True)
    return network, hardware, phase, start


def program_of(network, hardware, phase, start):
    return quantise(network, hardware, stack(network, hardware, [phase], [start], {}))


def test_a_million_neuron_steps_bit_for_bit_over_the_legal_ranges():
    g = torch.Generator().manual_seed(0)
    chips, batch, neurons, steps = 2, 10, 200, 300

    def draw(low, high, *shape):
        return torch.randint(low, high + 1, shape, generator=g).double()

    network = chain([8, neurons], LIF())
    shape, full = (chips, 1, neurons), (chips, batch, neurons)
    arrays = {
        "window": torch.ones(batch, steps).double(),
        "drive": draw(0, 1, batch, steps, 8),
        "weight.0": 2 * draw(-128, 127, chips, 8, neurons),
        "weight.0.exponent": torch.tensor([4.0, -3.0]).double(),
        "layer.0.constant.dv": draw(0, 4095, *shape),
        "layer.0.constant.vth": draw(0, 131071, *shape) // 2 ** draw(0, 10, *shape),
        "layer.0.constant.refractory_steps": draw(0, 63, *shape) * draw(0, 1, *shape),
        "layer.0.constant.synapse_decay": 1 + draw(0, 4095, *shape) // 2 ** draw(0, 12, *shape),
        "layer.0.bias": draw(-4096, 4095, *shape) * 2 ** draw(0, 7, *shape),
        "layer.0.state.v": draw(-LIMIT + 1, LIMIT - 1, *full),
        "layer.0.state.refractory": draw(0, 3, *full),
        "layer.0.state.synapse": draw(-LIMIT + 1, LIMIT, *full),
        "trace": torch.zeros(full).double(),
        "integral": torch.zeros(full).double(),
        "controller.trace_decay": torch.tensor(101.0).double(),
        "controller.trace_gain": torch.tensor(16170.0).double(),
    }
    names = frozenset({"spikes", "voltage", "current"})
    found = emulate(network, arrays, direct=False, closed=False, record=names)
    assert chips * batch * neurons * steps >= 1_000_000

    whole = {name: value.numpy().astype(np.int64) for name, value in arrays.items()}
    state = {"v": whole["layer.0.state.v"].copy(), "refractory": whole["layer.0.state.refractory"].copy()}
    constants = {n: whole[f"layer.0.constant.{n}"] for n in ("dv", "vth", "refractory_steps")}
    u, advance = whole["layer.0.state.synapse"], FIXED["lif"]
    wraps = saturations = 0
    free = emulate(network, arrays, direct=False, closed=False)  # the compiled loop
    for t in range(steps):
        spikes = advance(state, u + whole["layer.0.bias"], constants)
        a = whole["drive"][None, :, t] @ whole["weight.0"]
        a = np.stack([a[0] << 4, a[1] >> 3])
        before = decayed(u, whole["layer.0.constant.synapse_decay"]) + (a << 6)
        u = wrapped(before)
        wraps += int((u != before).sum())
        saturations += int((np.abs(state["v"]) == LIMIT - 1).sum())
        np.testing.assert_array_equal(found["record.spikes.0"][:, :, t], spikes)
        np.testing.assert_array_equal(found["record.voltage.0"][:, :, t], state["v"])
        np.testing.assert_array_equal(found["record.current.0"][:, :, t], u)
    np.testing.assert_array_equal(free["layer.0.state.v"], state["v"])
    np.testing.assert_array_equal(free["layer.0.state.synapse"], u)
    np.testing.assert_array_equal(free["sum.0"], found["sum.0"])
    assert wraps > 1000
    assert saturations > 1000


def test_quantised_rates_are_close_to_the_real_ones():
    network, hardware, phase, start = problem()
    real = TorchSimulator().run(network, hardware, [phase], {"p": start})["p"]
    whole = LoihiSimulator().run(network, hardware, [phase], {"p": start})["p"]
    for ours, theirs in zip(whole.rates[1:] + whole.basal, real.rates[1:] + real.basal, strict=True):
        assert float(theirs.mean()) > 0.1
        assert float((ours - theirs).abs().mean()) < 0.05
        assert float((ours - theirs).mean().abs()) < 0.01  # no bias
    assert float((whole.control - real.control).abs().mean()) < 0.05


def test_nothing_can_overflow_even_if_every_input_spiked_always():
    network, hardware, phase, start = problem(gain=20.0)
    drive = SpikeDrive(torch.ones_like(phase.drive.spikes))
    full = Phase("p", drive, phase.window, controller=phase.controller, shadow=True)
    arrays = program_of(network, hardware, full, start).arrays
    for index in range(2):
        weight = arrays[f"weight.{index}"] * 2.0 ** arrays[f"weight.{index}.exponent"].view(-1, 1, 1)
        loss = arrays[f"layer.{index}.constant.synapse_decay"].squeeze(1)
        for side in (weight.clamp(min=0), (-weight).clamp(min=0)):
            assert float(side.sum(1).max()) <= 32767
            assert float((64 * side.sum(1) * 4096 / loss).max()) < LIMIT


def test_registers_are_legal_and_weights_even_where_signs_are_mixed():
    network, hardware, phase, start = problem()
    program = program_of(network, hardware, phase, start)
    for name, values in program.arrays.items():
        register = name.split(".")[-1]
        if register in RANGES:
            check(register, values, name)
        if name.startswith("weight") and not name.endswith("exponent"):
            check("weight", values, name)
            assert not (values % 2).any()
    rows = {(row.where, row.name): row for row in program.roundings}
    assert rows["connection 0-1", "weight"].values == 3 * 30 * 40
    assert 0 < rows["connection 0-1", "weight"].relative_error < 0.02
    assert rows["layer 1", "threshold"].relative_error < 1e-3
    assert all(row.clipped == 0 for row in program.roundings)


@pytest.mark.parametrize("refractory_ms", [0.0, 3.0])
@pytest.mark.parametrize("direct", [False, True], ids=["spikes", "currents"])
def test_the_compiled_loop_and_the_vectorised_step_are_the_same(direct, refractory_ms):
    network, hardware, phase, start = problem(refractory_ms=refractory_ms)
    g = torch.Generator().manual_seed(1)
    drive = CurrentDrive(torch.rand(8, 30, generator=g).double()) if direct else phase.drive
    plain = Phase("p", drive, window(100, 60, "hann"))
    arrays = program_of(network, hardware, plain, start).arrays
    fast = emulate(network, arrays, direct=direct, closed=False)
    slow = emulate(network, arrays, direct=direct, closed=False, record=frozenset({"readout"}))
    assert set(fast) == set(slow) - {"record.readout"}
    assert float(fast["sum.1"].sum()) > 0
    for name, value in fast.items():
        assert torch.equal(value, slow[name]), name


def test_a_state_survives_the_way_to_reals_and_back():
    network, hardware, phase, start = problem(refractory_ms=3.0)
    simulator = LoihiSimulator()
    half = Phase("a", SpikeDrive(phase.drive.spikes[:, :50]), window(50, 50), record=frozenset({"spikes"}))
    rest = Phase(
        "b", SpikeDrive(phase.drive.spikes[:, 50:]), window(50, 50), after="a", record=frozenset({"spikes"})
    )
    whole = Phase("c", phase.drive, window(100, 100), record=frozenset({"spikes"}))
    parts = simulator.run(network, hardware, [half, rest], {"a": start})
    once = simulator.run(network, hardware, [whole], {"c": start})["c"]
    for index in range(2):
        joined = torch.cat([parts["a"].traces["spikes"][index], parts["b"].traces["spikes"][index]], 2)
        torch.testing.assert_close(joined, once.traces["spikes"][index], rtol=0, atol=0)


def test_a_chip_is_a_slice():
    network, hardware, phase, start = problem()
    together = LoihiSimulator().run(network, hardware, [phase], {"p": start})["p"]

    def only(values):
        return {name: value[1:2] for name, value in values.items()}

    alone = Hardware(
        neurons=tuple(only(v) for v in hardware.neurons),
        shadows=tuple(only(v) for v in hardware.shadows),
        weights=tuple(w[1:2] for w in hardware.weights),
        feedback=tuple(w[1:2] for w in hardware.feedback),
        readout=only(hardware.readout),
    )
    start_alone = type(start)(
        neurons=tuple(only(s) for s in start.neurons),
        shadows=tuple(only(s) for s in start.shadows),
        synapse=tuple(s[1:2] for s in start.synapse),
        history=tuple(h[1:2] for h in start.history),
        trace=start.trace[1:2],
        integral=start.integral[1:2],
    )
    single = LoihiSimulator().run(network, alone, [phase], {"p": start_alone})["p"]
    for ours, theirs in zip(single.rates[1:], together.rates[1:], strict=True):
        torch.testing.assert_close(ours[0], theirs[1], rtol=0, atol=0)


def test_what_does_not_fit_is_refused_by_name():
    network, hardware, phase, start = problem(refractory_ms=100.0)
    with pytest.raises(InputError, match=r"layer 1\.refractory_steps\[0, 0, \d+\].*from 0 to 63"):
        program_of(network, hardware, phase, start)
    with pytest.raises(InputError, match=r"layer 7\.vth\[1\].*from 0 to 131071"):
        check("vth", torch.tensor([5.0, 131072.0]), "layer 7")
    with pytest.raises(InputError, match=r"layer 7\.du\[0\].*whole numbers"):
        check("du", torch.tensor([0.5]), "layer 7")


@settings(max_examples=200, deadline=None)
@given(st.floats(-524_000, 524_000))
def test_a_bias_is_held_to_half_a_unit_of_its_exponent(value):
    mantissa, exponent = bias_register(torch.tensor([value], dtype=torch.float64))
    check("bias_mantissa", mantissa, "layer 1")
    check("bias_exponent", exponent, "layer 1")
    assert abs(float(mantissa * 2**exponent) - value) <= 0.5 * 2 ** float(exponent)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-3000, 3000), min_size=1, max_size=20))
def test_weights_are_held_to_a_unit_of_their_exponent(values):
    wanted = torch.tensor(values).double().view(1, -1, 1)
    register, exponent = weight_register(wanted)
    check("weight", register, "connection 0-1")
    assert float((register * 2**exponent - wanted).abs().max()) <= 2 ** float(exponent) + 1e-9


def test_decays_beyond_the_register_are_counted():
    register, clipped = decay_register(torch.tensor([1.0, 0.5, 0.0]).double(), 0)
    assert register.tolist() == [0, 2048, 4095]
    assert clipped == 1
    register, clipped = decay_register(torch.tensor([1.0, 0.5, 0.0]).double(), 1)
    assert register.tolist() == [0, 2047, 4095]
    assert clipped == 1
