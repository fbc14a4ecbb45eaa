"""FOLLOW: tuning curves, the read-out that is fitted on the chip, a system that is learned under control."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from learning.follow import Follow
from learning.population_code import Sums, filtered, tuning
from root.errors import InputError, UnsupportedError
from root.seeds import SeedTree
from spiketrain.config import Experiment, load_experiment
from spiketrain.experiment import run_in_memory
from spiketrain.free_running import free_runs
from spiketrain.parts import build
from spiketrain.teaching import identify
from spiking.network import chain
from spiking.neurons import LIF

SMALL = (
    "network.populations.population.size=120",
    "mismatch.chips=2",
    "task.train_samples=4",
    "task.test_samples=2",
    "task.sample_ms=5500",
    "task.test_ms=3000",
    "simulator.presentation_ms=5500",
    "simulator.window_ms=5000",
    "simulator.test_presentation_ms=3000",
    "simulator.test_window_ms=1000",
    "rule.fit_batches=4",
    "rule.radius=1.0",  # few neurons and seconds: more noise than there is to gain farther out
    "training.epochs=3",
)

DESIGN = tuple(f"mismatch.{name}=null" for name in ("threshold", "tau_m", "weight", "feedback"))


@cache
def small(*more: str) -> Experiment:
    return load_experiment("spiking/follow_oscillator.yaml", [*SMALL, *more])


@pytest.mark.parametrize("radius", [1.0, 1.5])
def test_tuning_curves_begin_and_end_where_they_should(radius):
    """By the nominal curve: silent below the intercept, at the drawn rate where e x is the radius."""
    cells = {"rates_hz": (100, 200), "threshold": 1.0, "tau_m_ms": 20.0, "refractory_ms": 2.0}
    drawn = tuning(50, 3, SeedTree(1), **cells, radius=radius)
    gain = drawn.encoders.norm(dim=0) * radius
    peak = gain + drawn.bias
    rates = 1000 / (2.0 - 20.0 * torch.log(1 - 1.0 / peak))
    assert 100 <= float(rates.min()) < float(rates.max()) <= 200
    begin = (1.0 - drawn.bias) / gain
    assert -1 <= float(begin.min()) < -0.5 < 0.5 < float(begin.max()) <= 0.95


def test_a_filter_is_the_leaky_sum():
    signal = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    kept, by_hand, x = torch.exp(torch.tensor(-0.5 / 8.0, dtype=torch.float64)), [], torch.zeros(2, 3)
    for t in range(50):
        x = kept * x + (1 - kept) * signal[:, t]
        by_hand.append(x)
    torch.testing.assert_close(filtered(signal, 8.0, 0.5), torch.stack(by_hand, dim=1))


def test_least_squares_finds_what_made_the_signal():
    g = torch.Generator().manual_seed(2)
    traces = torch.randn(2, 3, 400, 6, generator=g, dtype=torch.float64)
    weights = torch.randn(2, 6, 2, generator=g, dtype=torch.float64)
    found = Sums.of(traces, torch.matmul(traces, weights[:, None])).solve(ridge=1e-12)
    torch.testing.assert_close(found, weights, rtol=1e-9, atol=1e-9)


def decoding_error(parts) -> torch.Tensor:
    """The error of the chips' output, as it is, against the noise that is injected, of noise of its own."""
    rule, model = parts.rule, parts.model
    batch = replace(next(iter(parts.batches(0))), key=("fresh",))
    phase = rule.warmup(batch, model)[0]
    # the output must not act back: the controller's target is what it would have, less nothing
    seen = parts.chips.present((phase,), "fresh")["noise"].traces
    said = seen["readout"][0][:, :, 501:]
    wanted = filtered(seen["control"][0], 20.0, 1.0)[:, :, 500:-1]
    return (said - wanted).square().sum((1, 2, 3)) / said.square().sum((1, 2, 3))


def test_the_read_out_is_corrected_for_its_own_synapses():
    """It decodes as well through synapses that deviate by 20 % as through such that do not."""
    errors = []
    for deviates in (True, False):
        experiment = small() if deviates else small("mismatch.weight=null")
        parts = build(experiment, None)
        for batch in parts.warmup_batches():
            identify(parts, batch)
        parts.chips.program(parts.model.weights())
        errors.append(decoding_error(parts))
    assert float(errors[0].max()) < 0.1
    assert float(errors[0].mean()) < 1.3 * float(errors[1].mean())


def test_a_system_is_learned_under_control_and_run_without():
    result = run_in_memory(small(), quiet=True)
    runs = free_runs(result.parts, "test")
    errors = runs.errors()
    assert float(errors.max()) < 0.35  # 1 for an output of 0; designed chips are at 0.3 to 1 here
    loop = result.parts.model.forward_weights[2]
    assert float(loop.abs().max()) > 0
    # what is programmed of it has the rank of what is fed back: two outputs
    assert int(torch.linalg.matrix_rank(loop[0], rtol=1e-6)) == 2


def test_weights_regressed_in_open_loop_run_the_design_and_not_the_chips():
    """On the design this is the textbook's construction; chips that deviate are not told so."""
    errors = []
    for more in ((*DESIGN, "mismatch.chips=1"), ()):
        parts = build(small("rule.begin=open_loop", *more), None)
        for batch in parts.warmup_batches():
            identify(parts, batch)
        errors.append(free_runs(parts, "test").errors())
    assert float(errors[0].max()) < 0.5
    assert float(errors[1].max()) > 2 * float(errors[0].max())


def test_what_the_rule_cannot_train_is_refused():
    rule = Follow()
    with pytest.raises(UnsupportedError, match="outputs that do not"):
        rule.check(chain([2, 20, 2], LIF()))
    with pytest.raises(UnsupportedError, match=r"training\.plasticity: got 'host'"):
        rule.abilities(on_chip=False)
    with pytest.raises(InputError, match=r"rule\.begin"):
        Follow(begin="anywhere")
    with pytest.raises(UnsupportedError, match="refractory time"):
        Follow(rates_hz=(100.0, 600.0)).check(small().build_network())
