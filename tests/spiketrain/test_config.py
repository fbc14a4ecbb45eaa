"""The experiment that a config describes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pytest
import torch

from root.errors import InputError
from root.plugins import available
from root.seeds import SeedTree
from spiketrain.config import (
    Experiment,
    building,
    checks,
    dump_yaml,
    effects,
    json_schema,
    load_experiment,
    shipped,
)
from spiketrain.config.memory import estimate_bytes
from spiketrain.config.problems import prefixed
from spiketrain.reading import parse, with_overrides

DATA: dict[str, Any] = {
    "name": "small",
    "task": "digits",
    "network": {"layers": [64, 20, 10], "neuron": {"model": "lif", "bias": 0.5}},
    "rule": "dfc",
    "simulator": "torch",
    "training": {"epochs": 1, "batch": 32, "learning_rate": 0.5},
}


def experiment(*overrides: str) -> Experiment:
    return Experiment.from_mapping(with_overrides(DATA, overrides))


@pytest.mark.parametrize(
    "name", [name for name in shipped() if not name.startswith(("studies/", "settings/"))]
)
def test_shipped_configs_are_valid_and_resolve(name: str) -> None:
    loaded = load_experiment(name)
    resolved = parse(dump_yaml(loaded.resolved()), name)
    assert resolved == loaded.resolved()
    assert Experiment.from_mapping(resolved).resolved() == resolved
    assert Experiment.from_mapping(resolved).build_network() == loaded.build_network()


def test_defaults() -> None:
    small = experiment()
    assert small.simulator.steps() == small.simulator.steps(test=True) == (150, 75)
    assert (small.bridge.max_rate_hz, small.bridge.readout_tau_ms, small.bridge.window) == (
        100,
        40,
        "rectangular",
    )
    assert small.bridge.target_rates == (0.1, 0.8)
    assert (small.training.decay, small.training.hidden_scale, small.training.average) == (1.0, 1.0, 0.0)
    assert small.limits.memory_gb == 8.0
    spec = small.build_mismatch()
    assert (spec.chips, spec.seed, spec.first_chip, dict(spec.deviations)) == (1, 1, 0, {})


RATE = "network.neuron={model: rate, activation: tanh}"


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        ((RATE, "simulator.name=steady"), "bridge.encoding.name"),
        ((RATE, "simulator.name=brian2", "rule={name: strong_dfc, prediction: two_phase}"), "simulator.name"),
        ((RATE, "simulator.name=brian2", "rule={name: dfc, output: softmax}"), "simulator.name"),
        (
            ("rule={name: dfc, prediction: apical_online}", "training.optimizer=nlms"),
            "training.optimizer.name",
        ),
        (("rule=surrogate_bptt", "training.optimizer=nlms"), "training.optimizer.name"),
    ],
)
def test_parts_that_cannot_meet_are_refused_before_the_first_batch(overrides: Any, key: str) -> None:
    with pytest.raises(InputError) as caught:
        checks.check(experiment(*overrides))
    assert caught.value.key == key


def test_test_windows_follow_the_training_ones() -> None:
    assert experiment("simulator.presentation_ms=100").simulator.steps(test=True) == (100, 75)
    longer = experiment("simulator.test_presentation_ms=300", "simulator.dt_ms=0.5")
    assert longer.simulator.steps() == (300, 150)
    assert longer.simulator.steps(test=True) == (600, 150)


def test_the_network() -> None:
    network = experiment(
        "network.output_neuron={bias: 1.5}", "network.delay_ms=[1, 3]", "bridge.readout_tau_ms=20"
    ).build_network()
    assert network.sizes == (64, 20, 10)
    assert [layer.neuron.bias for layer in network.layers] == [0.5, 1.5]  # type: ignore[attr-defined]
    assert [connection.delay_steps for connection in network.connections] == [1, 3]
    assert (network.dt_ms, network.max_rate_hz, network.readout_tau_ms) == (1.0, 100.0, 20.0)


def test_a_single_bias_spread_is_for_hidden_layers() -> None:
    small = experiment("network.bias_spread=0.5", "network.weight_gain=2")
    network = small.build_network()
    assert small.network.bias_spreads(network) == (0.5, 0.0)
    assert small.network.weight_gains(network) == (2.0, 2.0)
    both = experiment("network.bias_spread=[0.5, 0.1]")
    assert both.network.bias_spreads(network) == (0.5, 0.1)


def test_nested_parts_by_name_and_by_mapping() -> None:
    rule: Any = experiment("rule.prediction=basal", "rule.feedback={name: random, scale: 0.3}").build_rule()
    assert rule.prediction.needs_shadow
    assert rule.feedback.scale == 0.3
    resolved = experiment("rule.prediction=basal").resolved()
    assert resolved["rule"]["prediction"] == {"name": "basal"}


def test_float32() -> None:
    assert experiment("simulator.dtype=float32").build_simulator().dtype is torch.float32


def test_the_data_fit_and_a_validation_set_is_held_out() -> None:
    data = experiment("training.validation=0.2").load_data()
    assert (len(data.x_train), len(data.x_val), len(data.x_test)) == (1150, 287, 360)
    again = experiment("training.validation=0.2").load_data()
    assert torch.equal(data.x_val, again.x_val)


def test_the_stimulus_of_tests_is_longer() -> None:
    small = experiment("simulator.test_presentation_ms=300", "bridge.window=hann", "bridge.encoding=current")
    training, test = small.build_stimulus(SeedTree(0)), small.build_stimulus(SeedTree(0), test=True)
    assert (training.steps, test.steps, test.window_shape) == (150, 300, "hann")
    assert test.encoding.kind == "current"


def test_memory_grows_with_chips_and_layers() -> None:
    few = experiment("mismatch.chips=2").estimate_memory_bytes()
    many = experiment("mismatch.chips=200").estimate_memory_bytes()
    wide = experiment("network.layers=[64, 2000, 10]").estimate_memory_bytes()
    assert few < wide < 8e9
    assert 10 < many / few < 100
    sizes = ([64, 20, 10], [(1, 64), (1, 20)])
    one = {"synapses": 1480, "chips": 1, "batch": 1, "steps": 1, "feedback": 0}
    both = [estimate_bytes(*sizes, item_bytes=size, **one) for size in (4, 8)]
    assert both[0] < both[1] < 2.01 * both[0]


def test_what_a_rule_unrolls_is_counted_for_every_model() -> None:
    unrolled = ("rule.name=surrogate_bptt", "mismatch.chips=50", "simulator.name=torch")
    in_loop = experiment(*unrolled).estimate_memory_bytes()
    offline = experiment(*unrolled, "training.arm=offline").estimate_memory_bytes()
    one = experiment("mismatch.chips=50", "simulator.name=torch").estimate_memory_bytes()
    assert in_loop - one == pytest.approx(50 * (offline - one))
    built = experiment(*unrolled)
    numbers = 50 * built.training.batch * built.simulator.steps()[0] * sum(built.build_network().sizes[1:])
    assert 8 * 8 * numbers < in_loop - one < 8 * 16 * numbers


def test_weights_alone_are_more_than_a_tenth_of_the_estimate() -> None:
    """The estimate follows its terms: with one sample, ten copies of the weights are nearly all."""
    weights = 8 * (1000 * 1000 + 1000 * 10)
    estimate = estimate_bytes(
        [1000, 1000, 10],
        [(1, 1000), (1, 1000)],
        synapses=1010 * 1000,
        chips=1,
        batch=1,
        steps=1,
        item_bytes=8,
        feedback=10 * 1010,
    )
    assert 10 * weights < estimate < 12 * weights


def test_the_schema_knows_every_part() -> None:
    schema = json.loads(json.dumps(json_schema()))
    assert set(schema["x-parts"]["rule"]) == set(available("rules"))
    assert schema["x-parts"]["task"]["npz"]["properties"]["scaling"]["enum"] == ["none", "minmax"]
    prediction = schema["x-parts"]["rule"]["dfc"]["properties"]["prediction"]
    assert "two_phase" in prediction["enum"]
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("key", "place", "noun", "full"),
    [
        ("cv", "mismatch.tau_m", "distribution", "mismatch.tau_m.cv"),
        ("neuron.reset", "network.neuron", "neuron", "network.neuron.reset"),
        ("neuron.reset", "network.output_neuron", "neuron", "network.output_neuron.reset"),
        ("rule.controller.kp", "rule.controller", "controller", "rule.controller.kp"),
        ("controller.kp", "rule.controller", "controller", "rule.controller.kp"),
        ("training.optimizer.beta1", "training.optimizer", "optimizer", "training.optimizer.beta1"),
        ("rule.presynaptic", "rule", "rule", "rule.presynaptic"),
    ],
)
def test_keys_are_completed(key: str, place: str, noun: str, full: str) -> None:
    assert prefixed(InputError(key, 1, "2"), place, noun).key == full


@dataclass(frozen=True)
class _Inner:
    gain: float = 1.0


@dataclass(frozen=True)
class _Part:
    kind: Literal["a", "b"] = "a"
    count: int | None = None
    sizes: tuple[int, ...] = (1, 2)
    inner: _Inner = field(default_factory=_Inner)
    name: ClassVar[str] = "part"

    def without_effect(self) -> list[tuple[str, str]]:
        return [] if self.kind == "b" else [("count", "kind is a"), ("inner.gain", "kind is a")]


class _Machine:
    def __init__(self, device: str = "cpu", mode: Literal["fast", "plain"] = "fast", blocks: int = 3) -> None:
        self.settings = (device, mode, blocks)


@pytest.fixture
def _one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "load", lambda group, name, key=None: _Part)


@pytest.mark.usefixtures("_one_part")
def test_a_part_is_its_fields() -> None:
    built = building.build(
        "parts", {"name": "x", "kind": "b", "count": 3, "sizes": [4], "inner": {"gain": 2}}, "here"
    )
    assert built == _Part("b", 3, (4,), _Inner(2.0))
    assert building.fields_of(built) == {"kind": "b", "count": 3, "sizes": [4], "inner": {"gain": 2.0}}
    assert building.build("parts", {"name": "x", "count": None}, "here") == _Part()


@pytest.mark.usefixtures("_one_part")
@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"kind": "c"}, "here.kind"),
        ({"count": "3"}, "here.count"),
        ({"count": True}, "here.count"),
        ({"sizes": 3}, "here.sizes"),
        ({"sizes": [1, "2"]}, "here.sizes.1"),
        ({"inner": 3}, "here.inner"),
        ({"inner": {"gian": 3}}, "here.inner.gian"),
        ({"inner": {"gain": None}}, "here.inner.gain"),
        ({"name_": 3}, "here.name_"),
    ],
)
def test_a_part_is_checked(options: dict[str, Any], key: str) -> None:
    with pytest.raises(InputError) as caught:
        building.build("parts", {"name": "x", **options}, "here")
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("part", "key"), [(_Part(count=3), "here.count"), (_Part(inner=_Inner(2.0)), "here.inner.gain")]
)
def test_an_option_without_effect_is_refused(part: _Part, key: str) -> None:
    with pytest.raises(InputError, match="kind is a") as caught:
        effects.check_part("here", part)
    assert caught.value.key == key
    effects.check_part("here", _Part())
    effects.check_part("here", _Part("b", 3, inner=_Inner(2.0)))


def test_a_machine_gets_its_own_options() -> None:
    made = building.call(_Machine, {"mode": "plain"}, "simulator", {"device": "cpu"})
    assert made.settings == ("cpu", "plain", 3)
    for options, key in (({"mode": "slow"}, "simulator.mode"), ({"device": "x"}, "simulator.device")):
        with pytest.raises(InputError) as caught:
            building.call(_Machine, options, "simulator", {"device": "cpu"})
        assert caught.value.key == key
