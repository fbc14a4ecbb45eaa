"""What holds for every kind of imperfection, and what each one does."""

import math
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds import EXAMPLES, NETWORK, history, kind, phases, population, weights
from scipy import stats

from mismatch.distributions import Normal, TwoPoint
from mismatch.imperfections.faults import Faults
from mismatch.oracle import reveal
from mismatch.spec import MismatchSpec
from root.errors import InputError, UnsupportedError
from root.plugins import available
from root.seeds import SeedTree
from spiketrain.record.state import pack_state, unpack_state
from spiking.hardware import NoiseCurrent
from spiking.network import chain
from spiking.neurons import LIF, Rate
from spiking.simulators.base import Simulator
from spiking.simulators.membrane_noise import Tremble

KINDS = available("imperfections")


def equal(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_every_registered_kind_is_tried():
    assert sorted(EXAMPLES) == KINDS


@pytest.mark.parametrize("name", KINDS)
def test_it_changes_what_is_observed(name):
    assert not equal(history(population(name)), history(population()))


@pytest.mark.parametrize("name", KINDS)
def test_chip_k_is_the_same_in_any_population(name):
    together, alone = history(population(name, chips=4)), history(population(name, chips=1, first_chip=2))
    for many, one in zip(together, alone, strict=True):
        assert torch.equal(many[2], one[0])


def test_all_kinds_together_and_the_order_of_keys():
    forwards, backwards = (history(population(*names)) for names in (KINDS, KINDS[::-1]))
    assert equal(forwards, backwards)


@pytest.mark.parametrize("name", KINDS)
def test_chips_differ(name):
    if name in ("clipping", "dead_zone", "resolution"):
        pytest.skip("the same on all chips")
    chips = population(name, deviations={})
    assert any(not torch.equal(seen[0], seen[1]) for seen in history(chips))


@pytest.mark.parametrize("name", KINDS)
def test_interrupted_and_resumed_to_the_same_bits(name):
    whole = population(name)
    expected = history(whole, rounds=4)[-len(history(population(name), rounds=1)) :]
    first = population(name)
    history(first, rounds=3)
    resumed = population(name)
    tensors, description = pack_state(first.state())
    resumed.restore(unpack_state(tensors, description))
    resumed.program(weights(seed=3, scale=0.7))
    resumed.advance(50.0)
    seen = []
    for recording in resumed.present(phases(), "batch", 3).values():
        seen += [*recording.rates[1:], *recording.basal, recording.readout]
    assert equal(expected, seen)


@pytest.mark.parametrize("name", KINDS)
def test_a_trial_leaves_no_trace(name):
    plain, tried = population(name), population(name)
    for chips in (plain, tried):
        chips.program(weights())
    trial = tried.trial()
    trial.program(weights(seed=9))
    trial.present(phases(), "test")
    trial.advance(1e6)
    assert plain.state()["now_ms"] == tried.state()["now_ms"]
    for chips in (plain, tried):
        chips.program(weights(seed=1))
    assert equal(
        *([r for rec in c.present(phases(), "x").values() for r in rec.rates[1:]] for c in (plain, tried))
    )


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), chip=st.integers(0, 50), names=st.sets(st.sampled_from(KINDS), max_size=4))
def test_kinds_are_independent_of_each_other_and_of_their_neighbours(seed, chip, names):
    """The faults of a chip are the same whatever else is wrong with it and whoever is beside it."""
    names = names - {"faults"}
    faults = Faults(stuck_zero=0.3, rows=0.2)
    alone = population(chips=1, first_chip=chip, seed=seed, faults=faults)
    among = population(*sorted(names), chips=3, first_chip=max(0, chip - 1), seed=seed, faults=faults)
    for chips in (alone, among):
        chips.program(weights(chips.chips))
    position = chip - max(0, chip - 1)
    broken = [reveal(chips).weights[0][at] == 0 for chips, at in ((alone, 0), (among, position))]
    if "resolution" not in names:  # which writes zeros of its own
        assert torch.equal(*broken)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_parameters_and_chips_are_drawn_independently(seed):
    network = chain([40, 400], LIF())
    deviations = {name: Normal(0.2) for name in ("threshold", "tau_m", "tau_syn", "weight", "input_gain")}
    chips = population(chips=2, seed=seed, network=network, deviations=deviations)
    chips.program(weights(2, network=network))
    values = reveal(chips).neurons[0]
    rows = torch.cat([values[name] for name in ("threshold", "tau_m_ms", "tau_syn_ms")])
    correlation = torch.corrcoef(rows) - torch.eye(6, dtype=torch.float64)
    assert correlation.abs().max() < 5.5 / math.sqrt(400)


# what each kind does


def effective(chips, program=None):
    chips.program(weights(chips.chips) if program is None else program)
    return reveal(chips)


def ideal(*, chips=2, network=NETWORK, **kinds):
    return population(chips=chips, network=network, deviations={}, **kinds)


def test_input_gains_multiply_the_rows_of_the_first_connection():
    chips = population(chips=2, deviations={"input_gain": Normal(0.2)})
    written = weights(2)
    factor = effective(chips, written).weights[0] / written.forward[0]
    torch.testing.assert_close(factor, factor[:, :, :1].expand_as(factor))
    assert factor[0, :, 0].unique().numel() == NETWORK.inputs
    assert torch.equal(effective(chips, written).weights[1], written.forward[1])


def test_bias_weights_multiply_what_is_written_and_shadows_have_the_same():
    chips = population(chips=2, deviations={"bias_weight": Normal(0.2)})
    written = weights(2)
    found = effective(chips, written)
    for layer, (values, shadow) in enumerate(zip(found.neurons, found.shadows, strict=True)):
        factor = values["bias"] / written.bias[layer]
        assert factor.unique().numel() == factor.numel()
        assert ((factor - 1).abs() < 1).all()
        assert torch.equal(values["bias"], shadow["bias"])
    nothing = replace(written, bias=tuple(torch.zeros_like(b) for b in written.bias))
    assert not any(values["bias"].any() for values in effective(chips, nothing).neurons)


def test_shadows_go_part_of_the_way_to_values_of_their_own():
    deviations = {"threshold": Normal(0.2), "tau_m": Normal(0.2)}
    own, near = (
        effective(population(chips=2, deviations=deviations).sibling(MismatchSpec(2, 1, deviations, **share)))
        for share in ({}, {"shadow_share": 0.25})
    )
    for layer, neuron in enumerate(own.neurons):
        for name in ("threshold", "tau_m_ms"):
            apart = near.shadows[layer][name] - neuron[name]
            assert apart.abs().min() > 0
            torch.testing.assert_close(apart, 0.25 * (own.shadows[layer][name] - neuron[name]))


def test_dead_neurons_are_silent_and_firing_ones_fire():
    chips = ideal(faults=Faults(dead=0.3, firing=0.3))
    program = weights(2)
    chips.program(program)
    rates = chips.present(phases(200)[:1], "a")["free"].rates[1]
    dead = reveal(chips).neurons[0]["threshold"] > 100
    deaf = (reveal(chips).weights[0] == 0).all(1)
    assert dead.any()
    assert deaf.any()
    assert (rates.transpose(1, 2)[dead] == 0).all()
    assert (rates.transpose(1, 2)[deaf & ~dead] - 1.0).abs().max() < 0.15


@settings(max_examples=8, deadline=None)
@given(p=st.floats(0.05, 0.4), q=st.floats(0.05, 0.4))
def test_as_many_synapses_are_stuck_as_asked(p, q):
    network = chain([100, 100], LIF())
    chips = ideal(network=network, faults=Faults(stuck_zero=p, stuck_on=q, on_weight=9.0))
    found = effective(chips, weights(2, network=network)).weights[0]
    band = 5 * math.sqrt(0.25 / found.numel())
    assert abs(float((found == 0).double().mean()) - p) < band
    assert abs(float((found.abs() == 9.0).double().mean()) - q) < band


def test_a_broken_row_reaches_nobody_and_a_broken_column_hears_nobody():
    found = effective(ideal(faults=Faults(rows=0.3, columns=0.3))).weights[0] == 0
    rows, columns = found.all(2), found.all(1)
    assert rows.any()
    assert columns.any()
    assert torch.equal(found, rows.unsqueeze(2) | columns.unsqueeze(1))


def test_resolution_has_that_many_levels():
    found = effective(ideal(resolution=kind("resolution"))).weights[0]
    levels = found.unique()
    assert levels.numel() <= 7
    torch.testing.assert_close(levels / (2.0 / 3), (levels / (2.0 / 3)).round())


def test_without_a_range_every_matrix_has_its_own():
    found = effective(ideal(resolution=kind("resolution", {"bits": 3}))).weights
    for matrix, wanted in zip(found, weights(2).forward, strict=True):
        for chip, asked in zip(matrix, wanted, strict=True):
            step = float(asked.abs().max()) / 3
            assert float(chip.abs().max()) == pytest.approx(3 * step)
            assert float((chip - asked).abs().max()) <= step / 2 * (1 + 1e-12)
    zeros = tuple(torch.zeros_like(w) for w in weights(2).forward)
    nothing = effective(ideal(resolution=kind("resolution", {"bits": 3})), replace(weights(2), forward=zeros))
    assert not any(bool(w.any()) for w in nothing.weights)


def test_stochastic_rounding_keeps_the_mean():
    network = chain([200, 200], LIF())
    options = {"bits": 3, "range": 2.0, "rounding": "stochastic"}
    chips = ideal(chips=1, network=network, resolution=kind("resolution", options))
    wanted = torch.full((1, 200, 200), 0.3, dtype=torch.float64)
    found = effective(chips, replace(weights(1, network=network), forward=(wanted,))).weights[0]
    assert abs(float(found.mean()) - 0.3) < 0.01


def test_write_noise_is_new_where_something_is_written_and_stays_elsewhere():
    chips = ideal(write_noise=kind("write_noise"))
    program = weights(2)
    first = effective(chips, program).weights[0]
    assert 0.08 < float((first - program.forward[0]).std()) < 0.12
    changed = program.forward[0].clone()
    changed[:, 0] += 1.0
    second = effective(chips, replace(program, forward=(changed, program.forward[1]))).weights[0]
    assert torch.equal(second[:, 1:], first[:, 1:])
    assert not torch.equal(second[:, 0], first[:, 0] + 1.0)


def test_small_changes_are_not_written_until_they_add_up():
    chips = ideal(dead_zone=kind("dead_zone"))
    program = weights(2)
    first = effective(chips, program).weights[0]
    for step, moved in ((0.2, False), (0.4, True)):
        asked = (program.forward[0] + step, program.forward[1])
        now = effective(chips, replace(program, forward=asked)).weights[0]
        torch.testing.assert_close(now, first + (step if moved else 0.0))


def test_updates_are_asymmetric_and_saturate_softly():
    options = {"range": 2.0, "asymmetry": 0.2, "nonlinearity": 1.0}
    chips = ideal(updates=kind("updates", options))
    zero = replace(weights(2), forward=tuple(torch.zeros_like(w) for w in weights(2).forward))
    chips.program(zero)
    found = []
    for target in (1.0, 0.0):
        asked = tuple(torch.full_like(w, target) for w in zero.forward)
        found.append(float(effective(chips, replace(zero, forward=asked)).weights[0][0, 0, 0]))
    assert found[0] == pytest.approx(1.2)  # from 0: 1 × 1.2 × (1 - 0)
    assert found[1] == pytest.approx(1.2 - 0.8 * (1 + 1.2 / 2.0))


def test_worn_out_devices_keep_their_value():
    chips = ideal(endurance=kind("endurance", {"writes": 3.0, "cv": 0.0}))
    for number in range(3):
        last = effective(chips, weights(2, seed=number)).weights[0]
    assert torch.equal(effective(chips, weights(2, seed=8)).weights[0], last)


@pytest.mark.parametrize("since", ["write", "start"])
def test_conductances_fall_as_a_power_of_time(since):
    options = {"nu": 0.05, "nu_std": 0.0, "t0_ms": 100.0, "since": since}
    chips = ideal(conductance_drift=kind("conductance_drift", options))
    first = effective(chips).weights[0]
    chips.advance(1e6)
    torch.testing.assert_close(reveal(chips).weights[0], first * 1e4**-0.05)
    again = effective(chips, weights(2, seed=1)).weights[0]
    full = weights(2, seed=1).forward[0]
    torch.testing.assert_close(again, full if since == "write" else full * 1e4**-0.05)


def test_a_walk_starts_at_the_drawn_value_and_reaches_its_spread():
    network = chain([2, 2000], LIF())
    options = {"std": {"threshold": 0.05}, "tau_s": 1.0}
    chips = ideal(chips=1, network=network, random_walk=kind("random_walk", options))
    chips.program(weights(1, network=network))
    assert (reveal(chips).neurons[0]["threshold"] == 1.0).all()
    spreads = []
    for wait_ms in (10.0, 100.0, 1e5):
        chips.advance(wait_ms)
        spreads.append(float(reveal(chips).neurons[0]["threshold"].std()))
    assert spreads[0] < spreads[1] < spreads[2]
    assert spreads[2] == pytest.approx(0.05, rel=0.1)
    assert spreads[1] == pytest.approx(0.05 * math.sqrt(1 - math.exp(-0.11)), rel=0.15)


def test_temperature_is_common_to_the_chip():
    chips = ideal(temperature=kind("temperature"))
    chips.program(weights(2))
    chips.advance(1e5)
    threshold = reveal(chips).neurons[0]["threshold"]
    assert (threshold == threshold[:, :1]).all()
    assert threshold[0, 0] != threshold[1, 0]
    bias = reveal(chips).neurons[1]["bias"] - 0.8
    torch.testing.assert_close(bias[:, 0], -0.5 * (threshold[:, 0] - 1.0))


def test_the_membrane_trembles_as_much_as_stated():
    network = chain([2, 300], LIF(threshold=100.0, tau_m_ms=20.0), dt_ms=1.0)
    chips = ideal(chips=1, network=network, membrane_noise=kind("membrane_noise", {"density": 0.32}))
    chips.program(weights(1, network=network, scale=0.0))
    (free, _) = phases(400, network=network)
    record = replace(free, record=frozenset({"voltage"}))
    voltage = chips.present((record,), "a")["free"].traces["voltage"][0][:, :, 200:]
    assert float(voltage.std()) == pytest.approx(0.32 / math.sqrt(40.0), rel=0.05)
    assert float(stats.kurtosis(voltage.flatten())) == pytest.approx(0.0, abs=0.2)


def test_increments_of_a_tremor_have_the_moments_of_normal_ones():
    std = torch.full((2, 250), 3.0, dtype=torch.float64)
    noise = NoiseCurrent((std,), (SeedTree(1), SeedTree(2)))
    tremble = Tremble(noise, "neuron", 20, std)
    drawn = torch.stack([tremble.step() for _ in range(80)]) / 3.0
    assert float(drawn.mean()) == pytest.approx(0.0, abs=0.005)
    assert float(drawn.var()) == pytest.approx(1.0, abs=0.01)
    assert float(stats.skew(drawn.flatten())) == pytest.approx(0.0, abs=0.02)
    assert float(stats.kurtosis(drawn.flatten())) == pytest.approx(-2 / 32, abs=0.03)
    first, second = drawn[:, 0].flatten(), drawn[:, 1].flatten()
    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 0.01
    lagged = torch.stack([drawn[1:].flatten(), drawn[:-1].flatten()])
    assert abs(float(torch.corrcoef(lagged)[0, 1])) < 0.01


def test_delays_deviate_by_whole_steps():
    network = chain([12, 10, 4], LIF(bias=0.8), delay_steps=4)
    chips = population(chips=2, network=network, deviations={"delay": TwoPoint(0.5)})
    found = effective(chips, weights(2, network=network)).delays
    assert set(torch.cat([d.flatten() for d in found]).tolist()) == {2, 6}
    assert not equal(history(chips, network=network), history(ideal(network=network), network=network))
    with pytest.raises(InputError, match="whole steps"):
        population(network=network, deviations={"delay": Normal(0.01)})


def test_equal_delays_of_a_chip_are_the_connection_s_own():
    """Two points that round to 3 steps everywhere: as a network whose connections have 3 steps."""
    network = chain([12, 10, 4], LIF(bias=0.8), delay_steps=2)
    chips = population(chips=2, network=network, deviations={"delay": TwoPoint(0.5)})
    chips._draw.delays = tuple(torch.full_like(d, 3) for d in chips._draw.delays)
    three = ideal(network=chain([12, 10, 4], LIF(bias=0.8), delay_steps=3))
    assert equal(history(chips, network=network), history(three, network=three.network))


class Plain(Simulator):
    name = "plain"

    def run_block(self, network, hardware, block):
        raise NotImplementedError


@pytest.mark.parametrize("name", [n for n in KINDS if kind(n).needs])
def test_what_a_machine_cannot_express_is_refused_before_anything_runs(name):
    with pytest.raises(UnsupportedError, match="plain has none"):
        population(name, simulator=Plain())


def test_a_parameter_that_is_not_there_is_refused():
    walk = kind("random_walk", {"std": {"treshold": 0.1}})
    with pytest.raises(InputError, match="did you mean 'threshold'"):
        population(random_walk=walk)
    with pytest.raises(InputError, match=r"mismatch\.random_walk\.std"):
        population(random_walk=walk)


def test_dead_rate_neurons_are_silent():
    network = chain([12, 30, 4], Rate("sigmoid"))
    chips = ideal(chips=1, network=network, faults=Faults(dead=0.3))
    chips.program(weights(1, network=network))
    rates = chips.present((phases(network=network, shadow=False)[0],), "a")["free"].rates[1]
    assert 1 < int((rates == 0).all(1).sum()) < 20


@pytest.mark.parametrize("name", KINDS)
def test_every_key_is_documented(name):
    text = (Path(__file__).parents[2] / "docs" / "mismatch.md").read_text()
    assert f"`{name}`" in text
    for field in fields(kind(name)):
        assert f"`{field.name}`" in text, field.name
