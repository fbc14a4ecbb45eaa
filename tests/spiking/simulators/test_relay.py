"""The relay of feedback against a plain computation of it, and what it comes to in simple cases."""

import numpy as np
import pytest
import torch

from rate_bridge.filters import window
from root.errors import InputError, UnsupportedError
from spiketrain.testing.problems import layered, pair, random_hardware, random_relay, random_start, relayed
from spiking.feedback import Direct, Layered
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import Controller, CurrentDrive, Phase
from spiking.simulators.compiled.simulator import CompiledSimulator
from spiking.simulators.relay import gate
from spiking.simulators.steady import SteadySimulator
from spiking.simulators.torch import TorchSimulator


def test_a_gate_is_the_interpolation_of_its_points():
    g = torch.Generator().manual_seed(0)
    x = 3 * torch.rand(2, 5, 4, generator=g, dtype=torch.float64) - 1
    curve = torch.randn(2, 4, 6, generator=g, dtype=torch.float64)
    points = np.linspace(-0.5, 1.5, 6)
    expected = [
        [[np.interp(x[c, b, n], points, curve[c, n]) for n in range(4)] for b in range(5)] for c in range(2)
    ]
    torch.testing.assert_close(gate(x, curve, -0.5, 5 / 2.0), torch.tensor(np.array(expected)))


def test_what_every_layer_receives_is_what_the_equations_say():
    """Replay the recorded control signal and spikes through the definition, neuron by neuron."""
    problem = relayed(pair(layered(chain([12, 9, 7, 3], LIF(bias=0.9)), refresh_ms=4.0), 2, 3, 60))
    network, hardware, relay = problem.network, problem.hardware, problem.hardware.relay
    seen = problem.run(TorchSimulator())["controlled"]
    weight = problem.phases[1].window.numpy()
    kept = np.exp(-network.dt_ms / network.feedback.trace_ms)
    u, spikes = seen.traces["control"][0].numpy(), [s.numpy() for s in seen.traces["spikes"]]
    for c in range(2):
        for b in range(3):
            x = [np.zeros(9), np.zeros(7)]
            total = [np.zeros(9), np.zeros(7)]
            for t in range(60):
                if t % 4 == 0:
                    passed, a = u[c, b, t], [None, None]
                    for layer in (1, 0):
                        a[layer] = passed @ hardware.feedback[layer][c].numpy()
                        points = np.linspace(relay.low[layer], relay.high[layer], 7)
                        curves = relay.gates[layer][c].numpy()
                        open_ = np.array(
                            [np.interp(v, points, g) for v, g in zip(x[layer], curves, strict=True)]
                        )
                        passed = open_ * a[layer]
                for layer in (0, 1):
                    total[layer] += weight[t] * a[layer]
                    x[layer] = kept * x[layer] + (1 - kept) * network.spike_value * spikes[layer][c, b, t]
            for layer in (0, 1):
                np.testing.assert_allclose(seen.apical[layer][c, b], total[layer] / weight.sum(), atol=1e-12)
    torch.testing.assert_close(seen.apical[-1], seen.control)


@pytest.mark.parametrize("simulator", [TorchSimulator, CompiledSimulator])
def test_open_gates_and_no_dynamics_give_the_product_of_the_weights(simulator):
    """With one refresh and gates of 1, layer l receives u at t = 0 times the product of all weights above."""
    network = layered(chain([6, 8, 5, 3], LIF(bias=0.5)), refresh_ms=1000.0)
    hardware = random_hardware(network, 2, 3)
    relay = random_relay(network, 2, 4)
    ones = tuple(torch.ones_like(g) for g in relay.gates)
    hardware = type(hardware)(**{**vars(hardware), "relay": type(relay)(**{**vars(relay), "gates": ones})})
    target = torch.full((4, 3), 0.7, dtype=torch.float64)
    drive = CurrentDrive(torch.rand(4, 6, dtype=torch.float64))
    phase = Phase("p", drive, window(30, 30), Controller(target), start="s", record=frozenset({"control"}))
    start = random_start(network, hardware, 4, 5, shadow=False)
    seen = simulator().run(network, hardware, [phase], {"p": start})["p"]
    first = seen.traces["control"][0][:, :, 0]
    second = first @ hardware.feedback[1]
    torch.testing.assert_close(seen.apical[1], second)
    torch.testing.assert_close(seen.apical[0], second @ hardware.feedback[0])


def test_one_hidden_layer_receives_the_same_either_way_when_it_is_refreshed_in_every_step():
    direct = pair(chain([12, 9, 3], LIF(bias=0.9)), 2, 3, 60)
    same = pair(layered(chain([12, 9, 3], LIF(bias=0.9)), refresh_ms=1.0), 2, 3, 60)
    relay = random_relay(same.network, 2, 1)
    same.hardware = type(direct.hardware)(
        **{
            **vars(direct.hardware),
            "relay": type(relay)(**{**vars(relay), "strength": (torch.ones(2).double(),)}),
        }
    )
    for ours, theirs in zip(
        same.run(TorchSimulator())["after"].traces["spikes"],
        direct.run(TorchSimulator())["after"].traces["spikes"],
        strict=True,
    ):
        assert torch.equal(ours, theirs)


def test_shapes_of_the_feedback_weights_follow_the_path():
    network = chain([4, 6, 5, 3], LIF())
    assert network.feedback == Direct()
    assert network.feedback_shapes == ((3, 6), (3, 5), (3, 3))
    assert layered(network).feedback_shapes == ((5, 6), (3, 5), (3, 3))


def test_a_machine_without_a_relay_refuses_it_and_names_the_key():
    with pytest.raises(UnsupportedError, match=r"network\.feedback\.name"):
        SteadySimulator().check(layered(chain([4, 6, 3], LIF())))


@pytest.mark.parametrize("options", [{"refresh_ms": 0.0}, {"trace_ms": float("nan")}, {"refresh_ms": 1e9}])
def test_times_that_mean_nothing_are_refused(options):
    with pytest.raises(InputError, match=next(iter(options))):
        Layered(**options)


def test_a_refresh_between_two_steps_is_refused():
    with pytest.raises(InputError, match=r"network\.feedback\.refresh_ms: got 2\.5"):
        layered(chain([4, 6, 3], LIF()), refresh_ms=2.5)
    assert layered(chain([4, 6, 3], LIF(), dt_ms=0.5), refresh_ms=2.5).feedback.refresh_steps(0.5) == 5
    assert Layered().refresh_steps(0.5) == 1


def test_end_to_end_is_the_product_of_what_the_layers_relay():
    g = torch.Generator().manual_seed(0)
    network = layered(chain([4, 6, 5, 3], LIF()))
    weights = [torch.randn(2, *shape, generator=g, dtype=torch.float64) for shape in network.feedback_shapes]
    found = network.end_to_end(weights)
    torch.testing.assert_close(found[0], weights[1] @ weights[0])
    assert found[1] is weights[1]
    assert found[2] is weights[2]
    assert Direct().end_to_end((), weights) == tuple(weights)
