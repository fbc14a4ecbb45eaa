"""Every number of a config, through the whole schema: it has a range, and what is odd is refused or runs."""

from __future__ import annotations

import dataclasses
import math
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import entry_points
from typing import Any, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from root import ranges
from root.errors import InputError
from root.plugins import available, load
from spiketrain.config import Experiment, building
from spiketrain.config.schema import PLACES
from spiketrain.evaluation import evaluate
from spiketrain.parts import build
from spiketrain.reading import assign, with_overrides
from spiketrain.teaching import learn

SMALL: dict[str, Any] = {
    "name": "small",
    "task": {"name": "yinyang", "train_samples": 24, "validation_samples": 8, "test_samples": 8},
    "network": {"layers": [4, 6, 3], "neuron": {"model": "lif", "bias": 0.5, "refractory_ms": 2.0}},
    "mismatch": {"chips": 2},
    "rule": {"name": "dfc"},
    "simulator": {"name": "torch", "presentation_ms": 12.0, "window_ms": 6.0},
    "training": {"epochs": 1, "batch": 8, "learning_rate": 0.5},
    "limits": {"memory_gb": 0.2},
}

OWN = (
    '{model: equations, equations: "dv/dt = (current - w - v) / tau_m : 1\\ndw/dt = -w / tau_w : 1", '
    'threshold: v > theta, reset: "v = 0\\nw += jump", '
    "parameters: {tau_m: 20 ms, tau_w: 100 ms, theta: 1, jump: 0.1}}"
)

SYSTEMS = (
    ("damped_oscillator", 2, 2, "skipped_ms: 1"),
    ("van_der_pol", 1, 2, "controlled_ms: 2"),
    ("lorenz", 1, 3, "controlled_ms: 2"),
)


def _recurrent(inputs: int, outputs: int) -> str:
    """Return a population with connections to itself, and outputs that do not spike."""
    ends = {"in": ("input", "p"), "read": ("p", "out"), "loop": ("p", "p")}
    joined = ", ".join(f"{name}: {{pre: {pre}, post: {post}}}" for name, (pre, post) in ends.items())
    out = f"out: {{size: {outputs}, neuron: {{model: li}}}}"
    return (
        f"{{input: [{inputs}], populations: {{p: {{size: 8}}, {out}}}, "
        f"connections: {{{joined}}}, neuron: {{model: lif, refractory_ms: 2.0}}}}"
    )


RATE = ["network.neuron={model: rate, saturation: 1.0}", "bridge.encoding=current"]

CASES: dict[str, list[str]] = {
    "sections": ["training.guard={residual: 0.1}", "training.average=0.9", "network.delay_ms=1.0"],
    "rate neurons": RATE,
    **{
        f"neuron {model}": [f"network.neuron={{model: {model}, bias: 0.5}}"]
        for model in ("alif", "if", "cuba_lif", "qif")
    },
    "neuron li": ["network.neuron={model: lif, bias: 0.5}", "network.output_neuron={model: li}"],
    "neuron equations": [f"network.neuron={OWN}"],
    "teacher": ["task={name: student_teacher, train_samples: 24}", "network.layers=[15, 6, 5]"],
    **{f"optimizer {name}": [f"training.optimizer={name}"] for name in ("sgd", "adam", "nlms")},
    **{f"encoding {name}": [f"bridge.encoding={name}"] for name in ("latency", "current")},
    **{
        f"prediction {name}": [f"rule.prediction={name}"]
        for name in ("basal_affine", "basal_dendritic", "apical_online")
    },
    **{f"feedback {name}": [f"rule.feedback={name}"] for name in ("identified", "learned", "random")},
    "feedback online": [*RATE, "rule.feedback=online"],
    "loop gain": ["rule.feedback={name: identified, loop_gain: 1.0}"],
    "cross-entropy": ["rule={name: backprop, loss: cross_entropy}"],
    **{f"rule {name}": [f"rule={name}"] for name in ("feedback_alignment", "direct_feedback_alignment")},
    **{
        f"task {name}": [
            f"network={_recurrent(inputs, outputs)}",
            f"task={{name: {name}, train_samples: 8, sample_ms: 12, test_samples: 2, test_ms: 12, {times}}}",
            "simulator.test_presentation_ms=12",
            "bridge.encoding=current",
            "rule={name: follow, fit_batches: 1}",
            "training.plasticity=on_chip",
        ]
        for name, inputs, outputs, times in SYSTEMS
    },
    "rule strong_dfc": [*RATE, "rule=strong_dfc"],
    **{f"rule {name}": [f"rule={name}"] for name in ("kolen_pollack", "weight_mirror", "local_errors")},
    "arm trimmed": [
        "rule=backprop",
        "mismatch.tau_m={distribution: normal, cv: 0.1}",
        "training.arm=trimmed",
    ],
    "budget": ["rule=backprop", "training.presentations=100"],
    "rule node_perturbation": ["rule=node_perturbation"],
    "rule weight_perturbation": ["rule=weight_perturbation"],
    "arm aware": [
        "rule=backprop",
        "mismatch.weight={distribution: normal, cv: 0.1}",
        "training.arm={name: aware, draws: 2, attack: {steps: 1}}",
    ],
    "rule surrogate_bptt": ["rule=surrogate_bptt", "network.neuron.refractory_ms=0"],
    "rule e_prop": ["rule={name: e_prop, feedback: adaptive}", "network.neuron.refractory_ms=0"],
    "rule eventprop": [
        "rule=eventprop",
        "network.output_neuron={model: li}",
        "network.neuron.refractory_ms=0",
    ],
    "rule dual_propagation": [*RATE, "rule=dual_propagation"],
    "rule equilibrium_propagation": [*RATE, "rule=equilibrium_propagation", "network.bidirectional=true"],
    **{
        f"layered {name}": ["network.feedback=layered", f"rule={{name: dfc, feedback: {name}, gate: {gate}}}"]
        for name, gate in (("kolen_pollack", "active"), ("identified_layers", "measured"))
    },
    "simulator steady": [*RATE, "rule=backprop", "simulator.name=steady"],
    "simulator loihi": ["simulator.name=loihi"],
    "simulator compiled": ["simulator.name=compiled", "simulator.threads=1"],
    "uniform": ["mismatch.threshold={distribution: uniform, cv: 0.1}"],
    "normal": ["mismatch.tau_m={distribution: normal, cv: 0.1}"],
    "lognormal": ["mismatch.weight={distribution: lognormal, cv: 0.1}"],
    "two points": ["mismatch.weight={distribution: two_point, cv: 0.1}"],
    "correlated": ["mismatch.threshold={distribution: correlated, cv: 0.1, length: 2.0}"],
    "die shift": ["mismatch.threshold={distribution: die_shift, shift_cv: 0.1}"],
    "clipping": ["mismatch.clipping={range: 0.5}"],
    "conductance drift": ["mismatch.conductance_drift={}"],
    "dead zone": ["mismatch.dead_zone={smallest: 0.1}"],
    "endurance": ["mismatch.endurance={writes: 20.0}"],
    "faults": ["mismatch.faults={firing: 0.1, stuck_on: 0.1}"],
    "membrane noise": ["mismatch.membrane_noise={density: 0.1}"],
    "random walk": ["mismatch.random_walk={std: {threshold: 0.1}}"],
    "read noise": ["mismatch.read_noise={std: 0.1}"],
    "resolution": ["mismatch.resolution={bits: 4, range: 1.0}"],
    "temperature": ["mismatch.temperature={coefficients: {threshold: -0.01}}"],
    "updates": ["mismatch.updates={range: 1.0}"],
    "write noise": ["mismatch.write_noise={std: 0.1}"],
}

ODD = (
    *(math.nan, math.inf, 0, -1, 0.5, 5e-324, 1e23, -1e300, 1.7976931348623157e308),
    *(2**64, 10**4000, -(10**4000), True, "1", None, [1e300]),
)


def _leaves(value: Any, steps: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield what a resolved config says of numbers, and of what may be one (null)."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*steps, name))
    elif value is None or (isinstance(value, int | float | list) and not isinstance(value, bool)):
        yield steps, value


@cache
def _keys() -> list[tuple[str, tuple[str, ...]]]:
    """Return every numeric key of every part once, with a case that has it."""
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = {}
    for case, overrides in CASES.items():
        resolved = Experiment.from_mapping(with_overrides(SMALL, overrides)).resolved()
        for steps, _ in _leaves(resolved):
            found.setdefault((steps, _owners(resolved, steps)), case)
    return [(case, steps) for (steps, _), case in found.items()]


def _owners(resolved: Mapping[str, Any], steps: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the parts that a key stands in: the same key of another part is another one."""
    names: list[str] = []
    place = resolved
    for step in steps[:-1]:
        place = place[step]
        names += [str(place[key]) for key in ("name", "model", "distribution") if key in place]
    return tuple(names)


def _made(case: str, steps: tuple[str, ...], value: Any) -> Experiment | None:
    """Return the experiment with a value changed, or None where it is refused."""
    data = assign(with_overrides(SMALL, CASES[case]), steps, value)
    try:
        return Experiment.from_mapping(data)
    except InputError:
        return None


@contextmanager
def _within(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeoutError(f"still at it after {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)  # of the processor: other processes may be busy
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _parts() -> Iterator[tuple[str, Any]]:
    named = {
        group.removeprefix("spiketrain.")
        for group in entry_points().groups
        if group.startswith("spiketrain.")
    }
    assert set(PLACES) <= named
    for group in sorted(named):
        for name in available(group):
            yield f"{group}.{name}", load(group, name)


@pytest.mark.parametrize(("name", "part"), list(_parts()))
def test_every_number_of_a_part_has_a_range(name: str, part: Any) -> None:
    if name.startswith("simulators."):
        keys = {
            key: hint for key, (hint, _) in building.signature(part, frozenset({"device", "dtype"})).items()
        }
        limited = ranges.of(part.__init__)
    else:
        hints = get_type_hints(part)
        keys = {field.name: hints[field.name] for field in dataclasses.fields(part) if field.init}
        limited = ranges.of(part)
    numbers = {key for key, hint in keys.items() if {int, float} & set(_types(hint))}
    assert numbers <= set(limited)


def _types(hint: Any) -> Iterator[Any]:
    yield hint
    for inner in getattr(hint, "__args__", ()):
        yield from _types(inner)


def test_odd_numbers_are_refused_by_key_or_accepted() -> None:
    """No value, at any key, ends in anything but an experiment or a message."""
    keys = _keys()
    assert len(keys) > 130
    accepted = 0
    for case, steps in keys:
        for value in ODD:
            with _within(20):
                try:
                    accepted += _made(case, steps, value) is not None
                except InputError:
                    raise
                except Exception as error:
                    raise AssertionError(
                        f"{case}: {'.'.join(steps)} = {str(value)[:40]}: {error!r}"
                    ) from error
    assert accepted > 100


def _ends(limits: ranges.Range) -> list[float]:
    inside = [limits.low * 1.5 + 1e-3, limits.high * 0.9]
    return [value for value in (limits.low, limits.high, *inside) if limits.holds(value)]


VALUES = st.one_of(
    st.sampled_from(
        [0.0, 1e-6, 1e-3, 0.01, 0.5, 0.999, 1.0, 1.5, 2.0, 10.0, 100.0, 1e3, 1e4, 1e6, 1e9, -1.0, -1e6]
    ),
    st.sampled_from([0, 1, 2, 3, 7, 24, 1000, 10**6]),
    st.floats(min_value=-1e7, max_value=1e7, allow_nan=False),
)


def _small_enough(experiment: Experiment) -> bool:
    """Return whether an experiment is one of seconds, as those with extreme sizes rightly are not."""
    task = experiment.build_task()
    samples = max(
        (getattr(task, name, 0) for name in ("train_samples", "validation_samples", "test_samples")),
        default=0,
    )
    steps = max(experiment.simulator.steps()[0], experiment.simulator.steps(test=True)[0])
    size = sum(experiment.build_network().sizes) * experiment.mismatch.chips
    return samples <= 1000 and steps <= 500 and size <= 2000 and experiment.build_rule().warmup_batches <= 200


@settings(
    max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
@given(st.data())
def test_what_is_accepted_runs(data: st.DataObject) -> None:
    """Far-out numbers that are allowed are computed with: chips may diverge, the program does not."""
    case, steps = data.draw(st.sampled_from(_keys()))
    value = data.draw(VALUES)
    experiment = _made(case, steps, value)
    if experiment is None or not _small_enough(experiment):
        return
    with _within(60):
        try:
            parts = build(experiment, None)
        except InputError:
            return  # what only the drawn chips could tell, still before anything is written
        for batch in parts.batches(0):
            update, observation = learn(parts, batch, parts.learning_rate)
            parts.watch.batch(observation)
            assert update.residual is None or update.residual.shape == (parts.chips.chips,)
        parts.watch.epoch(1, parts.model.weights())
        evaluate(parts, "test")


NEURONS = [case for case in CASES if case.startswith("neuron ") and case != "neuron equations"]


@pytest.mark.parametrize("case", NEURONS)
def test_a_neuron_at_the_ends_of_its_ranges_runs(case: str) -> None:
    """Potentials may run away and rates be anything: nothing but numbers comes of it."""
    model = load("neurons", CASES[case][-1].partition("model: ")[2].partition(",")[0].strip("}"))
    section = "output_neuron" if case == "neuron li" else "neuron"
    for key, limits in ranges.of(model).items():
        for value in (limits.low, limits.high):
            experiment = _made(case, ("network", section, key), value)
            if experiment is None or not _small_enough(experiment):
                continue
            with _within(60):
                parts = build(experiment, None)
                learn(parts, next(iter(parts.batches(0))), parts.learning_rate)
                evaluate(parts, "test")
