"""The kernel beyond the conformance suite: threads in any order, noise, the soft-max, float32, whole runs."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import spiketrain as st
from rate_bridge.filters import window
from root.errors import UnsupportedError
from spiking.network import chain
from spiking.neurons import LIF, Rate
from spiking.presentation import Noise, Phase, Plasticity
from spiking.simulators.compiled import CompiledSimulator
from spiking.simulators.cuda import CudaSimulator
from spiking.simulators.cuda.host import Host
from spiking.simulators.cuda.layout import pack_bits, unpack_bits
from spiking.simulators.cuda.source import source
from spiking.simulators.torch import TorchSimulator

sys.path.insert(0, str(Path(__file__).parents[2] / "conformance"))
from spiketrain.testing.problems import Problem, layered, pair, relayed

NEURON = LIF(bias=0.8, refractory_ms=1.0)


def emulated(**options: Any) -> CudaSimulator:
    return CudaSimulator(emulate=True, **options)


def equal(given: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, theirs in expected.items():
        ours = given[name]
        for a, b in zip(ours.traces["spikes"], theirs.traces["spikes"], strict=True):
            assert torch.equal(a, b)
        pairs = [(ours.control, theirs.control), *zip(ours.correlation, theirs.correlation, strict=True)]
        for a, b in (*pairs, *zip(ours.apical, theirs.apical, strict=True)):
            if b is not None:
                torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


def noisy(problem: Problem, highpass_ms: float) -> Problem:
    """The controlled phases with noise in their feedback compartments, as identification shows them."""
    noise = Noise(sigma=0.3, tau_ms=5.0, highpass_ms=highpass_ms, seed=4)
    problem.phases = [replace(p, noise=noise) if p.controller else p for p in problem.phases]
    return problem


@pytest.mark.parametrize("highpass_ms", [0.0, 20.0])
@pytest.mark.parametrize("path", ["direct", "layered"])
def test_noise_and_what_feedback_synapses_make_of_it(path: str, highpass_ms: float) -> None:
    network = chain([12, 9, 8, 4], NEURON)
    made = relayed(pair(layered(network), 2, 3, 40)) if path == "layered" else pair(network, 2, 3, 40)
    problem = noisy(made, highpass_ms)
    expected = problem.run(TorchSimulator())
    assert all(float(c.abs().max()) > 0 for c in expected["controlled"].correlation)
    equal(problem.run(emulated()), expected)


def test_the_softmax_in_the_loop() -> None:
    problem = pair(chain([12, 9, 4], NEURON), 2, 3, 40)
    soft = [
        replace(p, controller=p.controller and replace(p.controller, softmax=True)) for p in problem.phases
    ]
    plain, problem.phases = problem.run(TorchSimulator()), soft
    expected = problem.run(TorchSimulator())
    assert not torch.equal(expected["controlled"].control, plain["controlled"].control)
    equal(problem.run(emulated()), expected)


@pytest.mark.parametrize("columns", [40, 1100])
def test_the_order_of_threads_does_not_matter(columns: int) -> None:
    """Each runs until a barrier, first to last or last to first: no one reads what is not there yet."""
    network = layered(chain([20, columns, 30, 5], NEURON, delay_steps=[1, 3, 1]))
    problem = relayed(pair(network, 1, 2, 20))
    recordings = []
    for backwards in (False, True):
        simulator = emulated()
        simulator.machine = Host(backwards=backwards)
        recordings.append(problem.run(simulator))
    for phase, theirs in recordings[0].items():
        ours = recordings[1][phase]
        for name, traces in theirs.traces.items():
            for a, b in zip(ours.traces[name], traces, strict=True):
                assert torch.equal(a, b), (phase, name)


def test_float32_gives_the_counts_of_the_compiled_loop() -> None:
    """A spike at the edge of its threshold may go either way: hardly any does."""
    problem = pair(chain([64, 50, 10], LIF(bias=0.8)), 2, 4, 60)
    ours = problem.run(emulated(dtype=torch.float32))
    theirs = problem.run(CompiledSimulator(dtype=torch.float32))
    for name, recording in theirs.items():
        rates = torch.cat([r.flatten() for r in recording.rates[1:]])
        given = torch.cat([r.flatten() for r in ours[name].rates[1:]])
        assert given.dtype == torch.float32
        assert float((given != rates).float().mean()) < 0.01
        assert float(rates.abs().sum()) > 0


def test_what_it_cannot_do_is_refused_by_name() -> None:
    network = chain([12, 9, 4], NEURON)
    problem = pair(network, 2, 3, 40)
    learning = Plasticity(0, None, (0.1, 0.1))
    problem.phases = [replace(problem.phases[1], plasticity=learning)]
    problem.starts = {"controlled": problem.starts["controlled"]}
    with pytest.raises(UnsupportedError, match="plasticity"):
        problem.run(emulated())
    delays = tuple(torch.ones(2, network.sizes[c.pre], dtype=torch.int64) for c in network.connections)
    other = pair(network, 2, 3, 40)
    other.hardware = replace(other.hardware, delays=delays)
    with pytest.raises(UnsupportedError, match="delays"):
        other.run(emulated())
    with pytest.raises(UnsupportedError, match=r"simulator\.device.*cuda"):
        CudaSimulator()
    with pytest.raises(UnsupportedError, match=r"simulator\.dtype"):
        CudaSimulator(emulate=True, dtype=torch.int64)


@pytest.mark.parametrize("size", [1, 31, 32, 33, 100])
def test_bits_come_back(size: int) -> None:
    spikes = torch.rand(2, 3, size, generator=torch.Generator().manual_seed(size)) < 0.4
    packed = pack_bits(spikes)
    assert packed.shape == (2, 3, -(-size // 32))
    assert torch.equal(unpack_bits(packed, size) == 1, spikes)
    for place in range(min(size, 32)):
        word = packed[..., 0].to(torch.int64)
        assert torch.equal(((word >> place) & 1) == 1, spikes[..., place])


CONFIG: dict[str, Any] = {
    "network": {"layers": [8, 10, 6, 3], "neuron": {"model": "lif", "bias": 1.2}, "bias_spread": 0.5},
    "mismatch": {"chips": 2, "seed": 3, "threshold": {"distribution": "normal", "cv": 0.2}},
    "rule": {"name": "dfc", "prediction": "two_phase"},
    "simulator": {"name": "compiled", "presentation_ms": 30, "window_ms": 20},
    "training": {"epochs": 2, "batch": 6, "learning_rate": 0.5, "optimizer": "nlms"},
}


@pytest.mark.parametrize("feedback", ["direct", "layered"])
def test_training_gives_the_weights_of_the_compiled_simulator(feedback: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(18, 8, generator=generator).numpy(), (torch.arange(18) % 3).numpy()
    changes: dict[str, Any] = {"network.feedback": feedback}
    if feedback == "layered":
        changes |= {"rule.feedback": "transposed", "rule.gate": "slope", "rule.prediction": "none"}
    runs = [
        st.load(CONFIG, {**changes, **own}).fit(x, y)
        for own in ({}, {"simulator.name": "cuda", "simulator.emulate": True})
    ]
    for name, weights in runs[0].weights.items():
        torch.testing.assert_close(
            torch.from_numpy(runs[1].weights[name]), torch.from_numpy(weights), rtol=0, atol=1e-9
        )


def test_a_rate_network_of_the_kernel_is_the_tensors_one() -> None:
    problem = pair(chain([10, 8, 4], Rate("tanh", gain=2.0)), 2, 3, 30, currents=0)
    expected = problem.run(TorchSimulator())
    given = problem.run(emulated())
    for name, recording in expected.items():
        for ours, theirs in zip(given[name].rates, recording.rates, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_nvrtc_compiles_the_kernel_without_contracting_it() -> None:
    """Without a card; where NVIDIA's compiler is installed."""
    pytest.importorskip("cuda.bindings.nvrtc")
    from cuda.bindings import nvrtc  # noqa: PLC0415

    from spiking.simulators.cuda.card import CardError, Driver, options  # noqa: PLC0415

    problem, texts = relayed(pair(layered(chain([12, 9, 8, 4], NEURON)), 1, 1, 5)), []
    simulator = emulated()

    class Compiles:
        def launch(self, shape: Any, arguments: Any, blocks: int, shared_bytes: int) -> None:
            texts.append((source(shape), options(shape)))

    simulator.machine = Compiles()
    problem.run(simulator)
    library = object.__new__(Driver)
    library._nvrtc = nvrtc
    try:
        for text, given in texts:
            assert "--fmad=false" in given
            assert len(library.compiled_for("sm_90", text, given)) > 1000
    except CardError as error:  # the package is here, the compiler is not
        if error.code != "NVRTC":
            raise
        pytest.skip(str(error))


def test_a_phase_alone_without_a_controller() -> None:
    network = chain([5, 7, 3], NEURON)
    problem = pair(network, 1, 2, 12)
    (free,) = problem.phases[:1]
    assert isinstance(free, Phase)
    problem.phases = [replace(free, window=window(12, 12))]
    problem.starts = {"free": problem.starts["free"]}
    equal(problem.run(emulated()), problem.run(CompiledSimulator()))
