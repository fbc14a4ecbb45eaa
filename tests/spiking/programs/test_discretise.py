"""The solution of the equations: exact where it says so, in every language the same."""

import ast
import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from root.errors import InputError
from spiking.neurons import Equations
from spiking.programs import Dynamics, discretise
from spiking.programs.discretise import exact
from spiking.programs.to_torch import evaluate, stepper
from spiking.simulators.lava.runtime.program import stepper as numpy_stepper

TIMES = (("tau", 1), ("slow", 1), ("a", 0), ("b", 0))
NUMBERS = {"tau": 7.0, "slow": 40.0, "a": 0.4, "b": 1.3}

LINEAR = {
    "a leak": ("(current - v) / tau", "current"),
    "two terms": ("current / slow - v / tau", "current / slow * tau"),
    "a conductance": ("(current - a * v + b) / tau", "(current + b) / a"),
    "a factor behind": ("-(v - current) * a / tau", "current"),
    "brackets": ("-((v - b) - current) / tau", "b + current"),
    "growth": ("(a * v + current) / tau", "-current / a"),
    "no leak": ("current * a / tau", None),
    "a rate": ("-v / tau", "0 * current"),
    "a rate of two": ("-(a + b) * v / tau", "0 * current"),
    "constant": ("b / tau", None),
}


def dynamics(flow, **more):
    return Dynamics(f"dv/dt = {flow}", emission="v", parameters=TIMES, **more)


def one_step(text, v, current, dt_ms):
    program = discretise(text)
    known = {k: torch.tensor([[[x]]], dtype=torch.float64) for k, x in NUMBERS.items()}
    known |= evaluate(program.constants, {**known, "dt": torch.tensor(dt_ms, dtype=torch.float64)})
    state = {"v": torch.tensor([[[v]]], dtype=torch.float64)}
    stepper(program)(state, torch.tensor([[[current]]], dtype=torch.float64), known)
    return float(state["v"])


@pytest.mark.parametrize("case", LINEAR)
@pytest.mark.parametrize("dt_ms", [0.1, 1.0, 30.0])
def test_a_linear_equation_is_solved_exactly(case, dt_ms):
    flow, _ = LINEAR[case]
    assert exact(dynamics(flow)) == {"v": True}
    right = compile(ast.parse(flow, mode="eval"), flow, "eval")
    true = solve_ivp(
        lambda t, v: [eval(right, {}, {**NUMBERS, "v": v[0], "current": 1.7})],
        (0.0, dt_ms),
        [0.6],
        rtol=1e-11,
        atol=1e-13,
    )
    assert one_step(dynamics(flow), 0.6, 1.7, dt_ms) == pytest.approx(true.y[0, -1], rel=1e-8)


@pytest.mark.parametrize("case", [case for case, (_, goal) in LINEAR.items() if goal and case != "growth"])
def test_a_potential_at_its_goal_stays_there_to_the_last_bit(case):
    flow, goal = LINEAR[case]
    v = eval(goal, {}, {**NUMBERS, "current": 0.3})
    assert one_step(dynamics(flow), v, 0.3, 1.0) == pytest.approx(v, rel=1e-15)


@pytest.mark.parametrize(
    "flow", ["(v*v - v + current) / tau", "(current - v + exp(v)) / tau", "v * current / tau"]
)
def test_any_other_takes_a_step_of_euler(flow):
    assert exact(dynamics(flow)) == {"v": False}
    slope = eval(flow, {"exp": math.exp}, {**NUMBERS, "v": 0.6, "current": 1.7})
    assert one_step(dynamics(flow), 0.6, 1.7, 0.5) == pytest.approx(0.6 + 0.5 * slope, rel=1e-14)


def test_states_advance_from_the_old_values_of_each_other():
    text = Dynamics("dv/dt = (x - v) / tau; dx/dt = (v - x) / slow", emission="v", parameters=TIMES)
    program = discretise(text)
    known = {k: torch.tensor([[[x]]], dtype=torch.float64) for k, x in NUMBERS.items()}
    known |= evaluate(program.constants, {**known, "dt": torch.tensor(1.0, dtype=torch.float64)})
    state = {k: torch.tensor([[[x]]], dtype=torch.float64) for k, x in {"v": 1.0, "x": 2.0}.items()}
    stepper(program)(state, torch.zeros(1, 1, 1, dtype=torch.float64), known)
    assert float(state["v"]) == pytest.approx(2.0 - math.exp(-1 / 7))
    assert float(state["x"]) == pytest.approx(1.0 + math.exp(-1 / 40))


def test_time_goes_by_in_milliseconds_whatever_the_unit():
    in_hz = Equations("dv/dt = rate * (current - v)", emission="v", values={"rate": "50 Hz"})
    in_ms = Equations("dv/dt = (current - v) / tau", emission="v", values={"tau": "20 ms"})
    decays = []
    for neuron in (in_hz, in_ms):
        values = {k: torch.full((1, 1), x, dtype=torch.float64) for k, x in neuron.nominal.items()}
        decays.append(float(neuron.constants(values, 2.0)["decay"]))
    assert decays == pytest.approx([math.exp(-0.1)] * 2)


# every language computes the same: random expressions, without and with transcendental functions

names = st.sampled_from(["v", "current", "a", "b", "0.5", "2", "1.25"])
PLAIN = [
    "({} + {})",
    "({} - {})",
    "({} * {})",
    "maximum({}, {})",
    "minimum({}, {})",
    "where({} > {}, v, a)",
    "(-{} + {})",
]
CURVED = ["(tanh({}) + {})", "(exp(-abs({})) - {})", "(sigmoid({}) * {})", "(log1p(abs({})) / (1 + {}**2))"]


def expressions(forms):
    return st.recursive(
        names,
        lambda part: (
            st.builds(lambda f, x, y: f.format(x, y), st.sampled_from(forms), part, part)
            | st.builds("clip({}, -1, {})".format, part, st.just("b"))
            | st.builds("where({} > 0 and not {} < a or b > 1, {}, 0.25)".format, part, part, part)
        ),
        max_leaves=8,
    )


def in_torch_and_numpy(flow, reset, *, differentiable=False):
    text = Dynamics(
        f"dv/dt = ({flow}) / tau; dw/dt = (v - w) / slow",
        threshold="v > 0.5",
        reset=f"v = {reset}; w += a",
        parameters=TIMES,
    )
    try:
        program = discretise(text)
    except InputError as error:
        assume("something that has a name" not in str(error))  # a function of numbers alone
        raise
    g = torch.Generator().manual_seed(1)
    known = {k: x * (0.5 + torch.rand(2, 1, 5, generator=g, dtype=torch.float64)) for k, x in NUMBERS.items()}
    known |= evaluate(program.constants, {**known, "dt": torch.tensor(1.0, dtype=torch.float64)})
    state = {x: torch.randn(2, 3, 5, generator=g, dtype=torch.float64) for x in program.states}
    arrays = {k: v.numpy().copy() for k, v in state.items()}
    constants = {k: v.expand(2, 1, 5).numpy() for k, v in known.items() if k in program.reads}
    plain = dataclasses.asdict(program)
    for part in ("update", "reset"):
        plain[part] = [[s["target"], s["value"]] for s in plain[part]]
    step = stepper(program, differentiable=differentiable)
    for _ in range(4):
        current = torch.randn(2, 3, 5, generator=g, dtype=torch.float64)
        emitted = step(state, current.clone(), known)
        other = numpy_stepper(plain)(arrays, current.numpy(), constants)
        yield (emitted.numpy(), other), *((state[k].numpy(), arrays[k]) for k in state)


@settings(max_examples=150, deadline=None)
@given(expressions(PLAIN), expressions(PLAIN), st.booleans())
def test_without_transcendental_functions_every_bit_is_the_same(flow, reset, differentiable):
    for pairs in in_torch_and_numpy(flow, reset, differentiable=differentiable):
        for ours, theirs in pairs:
            assert np.array_equal(ours, theirs, equal_nan=True)


@settings(max_examples=100, deadline=None)
@given(expressions(PLAIN + CURVED))
def test_with_them_the_last_digits_may_differ(flow):
    for pairs in in_torch_and_numpy(flow, "0"):
        for ours, theirs in pairs[1:]:
            near = np.isclose(ours, theirs, rtol=1e-9, atol=1e-9, equal_nan=True)
            assert near.mean() > 0.9  # where a spike hangs on the last digit, a sample goes its own way
        break


def test_lava_refuses_what_no_printer_writes():
    for text in ("__import__('os')", "v.real", "[v]", "lambda: v", "'x'"):
        program = {"update": [["v", text]], "reset": [], "spike": "", "emission": "v"}
        with pytest.raises((ValueError, KeyError)):
            numpy_stepper(program)
