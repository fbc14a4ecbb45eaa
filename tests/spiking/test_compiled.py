"""The compiled simulator beyond what the conformance suite asks of every machine."""

import subprocess
import sys

import pytest
import torch

from rate_bridge.filters import window
from root.errors import InputError, UnsupportedError
from spiking.blocks.snapshots import initial_snapshot
from spiking.hardware import Hardware
from spiking.network import Network, chain
from spiking.neurons import LIF, Rate
from spiking.presentation import Controller, Phase, Recording, SpikeDrive
from spiking.simulators.compiled import CompiledSimulator
from spiking.simulators.torch import TorchSimulator

CHIPS, BATCH, STEPS = 2, 5, 60


def observe(simulator, network: Network, inputs: float = 0.1) -> dict[str, Recording]:
    """Show one controlled and one free phase with shadows to two random chips."""
    g = torch.Generator().manual_seed(0)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=g, dtype=torch.float64)

    neurons = tuple(
        {
            "threshold": 0.8 + 0.4 * uniform(CHIPS, n),
            "reset": -0.1 * uniform(CHIPS, n),
            "tau_m_ms": 15 + 10 * uniform(CHIPS, n),
            "tau_syn_ms": 5 + 10 * uniform(CHIPS, n),
            "refractory_ms": torch.zeros(CHIPS, n, dtype=torch.float64),
            "bias": 0.8 + 0.5 * uniform(CHIPS, n),
        }
        for n in network.sizes[1:]
    )
    one = torch.ones(CHIPS, network.outputs, dtype=torch.float64)
    chips = Hardware(
        neurons=neurons,
        shadows=neurons,
        weights=tuple(
            uniform(CHIPS, network.sizes[c.pre], network.sizes[c.post]) - 0.5 for c in network.connections
        ),
        feedback=tuple(uniform(CHIPS, network.outputs, n) - 0.5 for n in network.sizes[1:]),
        readout={"gain": one, "offset": 0 * one, "kp": one, "ki": one},
    )
    spikes = uniform(BATCH, STEPS, network.inputs) < inputs
    target = uniform(BATCH, network.outputs)
    start = [uniform(CHIPS, BATCH, n) for n in network.sizes[1:]]
    phases = [
        Phase("controlled", SpikeDrive(spikes), window(STEPS, 30), Controller(target), shadow=True),
        Phase("free", SpikeDrive(spikes), window(STEPS, 30), shadow=True),
    ]
    starts = {p.name: initial_snapshot(network, chips, start, shadow=True) for p in phases}
    return simulator.run(network, chips, phases, starts)


@pytest.mark.parametrize("outputs", [1, 3, 5, 8, 11])
@pytest.mark.parametrize("inputs", [0.0, 0.1, 1.0])
def test_layers_of_any_size(outputs: int, inputs: float) -> None:
    network = chain([13, 21, outputs], LIF())
    expected = observe(TorchSimulator(), network, inputs)
    found = observe(CompiledSimulator(), network, inputs)
    for name, recording in expected.items():
        for a, b in zip(recording.rates, found[name].rates, strict=True):
            assert torch.equal(a, b)
        assert torch.allclose(recording.readout, found[name].readout, rtol=0, atol=1e-12)


def test_any_number_of_threads_gives_the_same() -> None:
    network = chain([16, 24, 4], LIF(), delay_steps=[2, 3])
    one, many = (observe(CompiledSimulator(threads=n), network) for n in (1, 7))
    for name in one:
        assert torch.equal(one[name].readout, many[name].readout)
        assert all(torch.equal(a, b) for a, b in zip(one[name].rates, many[name].rates, strict=True))


def test_without_feedback_a_neuron_and_its_shadow_are_the_same() -> None:
    free = observe(CompiledSimulator(), chain([16, 24, 4], LIF()))["free"]
    assert all(torch.equal(a, b) for a, b in zip(free.rates[1:], free.basal, strict=True))


def test_float32_is_close() -> None:
    network = chain([16, 24, 4], LIF())
    exact, fast = (observe(CompiledSimulator(dtype=d), network) for d in (torch.float64, torch.float32))
    for name in exact:
        assert fast[name].readout.dtype == torch.float32
        assert (exact[name].rates[1] - fast[name].rates[1]).abs().mean() < 0.01


def test_refusals() -> None:
    with pytest.raises(UnsupportedError, match=r"neuron\.model.*rate"):
        CompiledSimulator().check(chain([3, 2], Rate()))
    with pytest.raises(UnsupportedError, match="cpu"):
        CompiledSimulator("meta")
    with pytest.raises(UnsupportedError, match="float32"):
        CompiledSimulator(dtype=torch.float16)
    with pytest.raises(InputError, match=r"simulator\.threads"):
        CompiledSimulator(threads=0)


def test_numba_waits_until_something_runs() -> None:
    code = "import sys, spiking.simulators.compiled as c; c.CompiledSimulator()"
    code += "; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
