"""What every neuron must do: its step is the same in every language, and its own words about it are true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import is_dataclass, replace
from functools import cache

import torch
from torch import Tensor

from root.errors import UnsupportedError
from root.plugins import available, load
from spiketrain.testing.agreement import LAST_DIGIT, agree
from spiketrain.testing.cases import Case, require, skip
from spiketrain.testing.problems import Problem, pair
from spiketrain.testing.simulators import exact
from spiking.network import chain
from spiking.neurons import LIF
from spiking.neurons.base import Neuron, Parameter
from spiking.neurons.measured import measured_curve
from spiking.presentation import Recording
from spiking.simulators.base import Simulator
from spiking.simulators.torch import TorchSimulator

__all__ = ["agreeing", "alike", "in_time", "neuron_cases"]

LEVELS = 24
"""Currents at which a curve is compared with the step."""

CURVE = 0.03
"""How far a curve in closed form may be from a step that counts whole spikes."""

CURVE_DT_MS = 0.5

APART = 0.3
"""By how much a parameter is moved to see whether anything follows."""


def in_time() -> list[str]:
    """Return the simulators whose neurons take time, all but the tensors that they are compared with."""
    kinds = {name: load("simulators", name) for name in available("simulators") if name != "torch"}
    return [name for name, kind in kinds.items() if not kind.ignores]


def agreeing(problem: Problem, simulator: Simulator, unstable: Sequence[int] = ()) -> None:
    """Raise AssertionError where a machine does otherwise than tensors."""
    expected = problem.run(TorchSimulator())
    alike(problem, problem.run(simulator), expected, unstable)


def alike(
    problem: Problem,
    given: dict[str, Recording],
    expected: dict[str, Recording],
    unstable: Sequence[int] = (),
) -> None:
    """Raise AssertionError where recordings of all phases of a problem differ.

    Args:
        problem: what was run.
        given: what is checked.
        expected: what it must be.
        unstable: layers, from 0, whose potentials run away before a spike.
    """
    for phase in problem.phases:
        agree(
            problem.network,
            given[phase.name],
            expected[phase.name],
            within=LAST_DIGIT,
            relative=LAST_DIGIT,
            unstable=unstable,
        )


def neuron_cases(
    neuron: Neuron, *, simulators: Sequence[str] | None = None, unstable: bool = False
) -> list[Case]:
    """Return what every neuron must do, one check after the other.

    Args:
        neuron: with nominal values at which it emits something, under its bias and currents of about 1.
        simulators: names of those it must do the same in; by default all that compute in time.
        unstable: whether its potential runs away before a spike, as that of a quadratic
            integrate-and-fire neuron does: potentials are then compared to nine digits.
    """
    found = [
        Case("fields are values, and each parameter is one of them", lambda: _described(neuron)),
        Case("every parameter has an effect", lambda: _every_parameter(neuron)),
        Case("it emits something, and neurons differ", lambda: _alive(neuron)),
        Case("dead neurons emit nothing", lambda: _dead(neuron)),
        Case("its curve is that of its step", lambda: _curve(neuron)),
    ]
    broken = (0,) if unstable else ()

    def same(name: str) -> Case:
        return Case(f"{name} does what tensors do", lambda: _same(neuron, name, broken))

    return [*found, *(same(name) for name in (in_time() if simulators is None else simulators))]


def _described(neuron: Neuron) -> None:
    require(is_dataclass(neuron), "no dataclass")
    require(neuron == replace(neuron), "not equal to a copy of itself")
    require(hash(neuron) == hash(replace(neuron)), "not frozen: @dataclass(frozen=True)")
    names = set(neuron.nominal)
    for parameter in neuron.parameters:
        require(parameter.field in names, f"the parameter {parameter.field} has no nominal value")
        require(
            parameter.field.startswith(parameter.name),
            f"the field {parameter.field} is called {parameter.name} in equations",
        )
    require("bias" in names, "no field bias: the constant current that is programmed")
    require("v" in neuron.initial_state(_values(neuron), torch.zeros(1, 1, 1).double()), "no state v")


def _values(neuron: Neuron, moved: Parameter | None = None) -> dict[str, Tensor]:
    values = {}
    for parameter in neuron.parameters:
        value = torch.full((1, 1), neuron.nominal[parameter.field], dtype=torch.float64)
        if parameter is moved:
            value = value + APART if parameter.additive else value * (1 + APART)
        values[parameter.field] = value
    return values


def _every_parameter(neuron: Neuron) -> None:
    uniform = torch.full((1, 1, 1), 0.5, dtype=torch.float64)

    def seen(values: dict[str, Tensor]) -> list[Tensor]:
        constants = neuron.constants(values, 0.1)
        return [
            *(constants[name] for name in sorted(constants)),
            *neuron.initial_state(values, uniform).values(),
            neuron.synapse_decay(values, 0.1),
        ]

    before = seen(_values(neuron))
    for parameter in neuron.parameters:
        values = _values(neuron, parameter)
        still = torch.equal(values[parameter.field], _values(neuron)[parameter.field])
        if still or parameter.field == "bias":
            continue  # a time of 0 stays 0; the bias is a current from outside
        after = seen(values)
        same = len(after) == len(before) and all(map(torch.equal, after, before))
        require(not same, f"{parameter.name} changes nothing: no equation knows it")


@cache
def _problem(neuron: Neuron) -> tuple[Problem, dict[str, Recording]]:
    """Return a layer of the neuron before one of LIF neurons, free and controlled, and what tensors do."""
    problem = pair(chain([20, 15, 8], [neuron, LIF(bias=1.5)], dt_ms=0.5), 2, 3, 120)
    return problem, problem.run(TorchSimulator())


def _alive(neuron: Neuron) -> None:
    _, seen = _problem(neuron)
    rates = seen["free"].rates[1]
    require(bool(rates.isfinite().all()), "rates that are not finite")
    require(bool((rates != 0).any()), "it emits nothing with these values; give it a bias, say")
    require(float(rates.std()) > 0, "all neurons emit the same, on chips that deviate")


def _dead(neuron: Neuron) -> None:
    if not neuron.dead:
        skip("it says no values for dead neurons")
    unknown = set(neuron.dead) - {parameter.field for parameter in neuron.parameters}
    require(not unknown, f"dead names {sorted(unknown)}, which are no parameters")
    problem, _ = _problem(neuron)
    first, *others = problem.hardware.neurons
    gone = dict(first) | {f: torch.full_like(first[f], value) for f, value in neuron.dead.items()}
    hardware = replace(problem.hardware, neurons=(gone, *others))
    dead = Problem(problem.network, hardware, problem.phases[:1], {"free": problem.starts["free"]})
    require(not bool(dead.run(TorchSimulator())["free"].rates[1].any()), "dead neurons emit something")


def _curve(neuron: Neuron) -> None:
    if type(neuron).transfer is Neuron.transfer:
        skip("it is measured from its step")
    curve = neuron.transfer(100.0, CURVE_DT_MS)
    measured = measured_curve(neuron, 100.0, CURVE_DT_MS)
    low, high = float(measured.currents[0]), float(measured.currents[-1])
    current = torch.linspace(low + 0.3 * (high - low), high, LEVELS, dtype=torch.float64)
    apart = (curve.rate(current) - measured.rate(current)).abs() / (1 + measured.rate(current).abs())
    worst = int(apart.argmax())
    require(
        float(apart.max()) < CURVE,
        f"at a current of {float(current[worst]):.3g} the curve says {float(curve.rate(current)[worst]):.4g} "
        f"and the step gives {float(measured.rate(current)[worst]):.4g}",
    )


def _same(neuron: Neuron, name: str, unstable: Sequence[int]) -> None:
    simulator = exact(load("simulators", name))
    problem, expected = _problem(neuron)
    try:
        simulator.check(problem.network)
    except UnsupportedError:  # one model in all layers, then
        alone = pair(chain([20, 15, 8], neuron, dt_ms=0.5), 2, 3, 120)
        agreeing(alone, simulator, (0, 1) if unstable else ())
        return
    alike(problem, problem.run(simulator), expected, unstable)
