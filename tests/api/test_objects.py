"""Parts as objects mean what their keys mean, and a class of one's own has a name in one line."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import spiketrain as st
from root import plugins
from spiketrain.config.graph import ConnectionPart, GraphPart, PopulationPart
from spiketrain.config.network import NetworkPart
from spiketrain.config.sections import AnalysisPart, BridgePart, MismatchPart, SimulatorPart, TrainingPart
from spiking.presentation import Observation, Phase

from .conftest import CONFIG, samples


def test_objects_say_what_keys_say() -> None:
    objects = st.load(
        {
            "network": {"layers": (16, 12, 3), "neuron": st.LIF(bias=1.0), "bias_spread": np.float64(0.5)},
            "mismatch": {
                "chips": np.int64(2),
                "seed": 3,
                "threshold": st.Normal(cv=0.2),
                "weight": st.Normal(cv=0.2),
            },
            "rule": st.DeepFeedbackControl(controller=st.ControllerGains(kp=1.0, ki_per_ms=0.02)),
            "simulator": {"name": "torch", "presentation_ms": 40, "window_ms": 30},
            "training": {
                "epochs": 2,
                "batch": 16,
                "learning_rate": 3.0,
                "optimizer": st.CentredNLMS(),
                "average": 0.9,
            },
        }
    )
    assert objects.config == st.load(CONFIG).config
    assert st.load(CONFIG, {"rule.feedback": st.RandomFeedback(scale=0.3)}).config["rule"]["feedback"] == {
        **st.load(CONFIG, {"rule.feedback": {"name": "random", "scale": 0.3}}).config["rule"]["feedback"]
    }


def built() -> st.Setup:
    return st.build(
        network=st.Network((16, 12, 3), st.LIF(bias=1.0), bias_spread=0.5),
        mismatch=st.Mismatch(2, seed=3, threshold=st.Normal(cv=0.2), weight=st.Normal(cv=0.2)),
        rule=st.DeepFeedbackControl(controller=st.ControllerGains(kp=1.0, ki_per_ms=0.02)),
        simulator=st.Simulator("torch", presentation_ms=40.0, window_ms=30.0),
        training=st.Training(2, 16, 3.0, optimizer=st.CentredNLMS(), average=0.9),
    )


def test_an_experiment_of_objects_is_the_config_of_keys() -> None:
    assert built().config == st.load(CONFIG).config
    assert built().change({"mismatch": st.Mismatch(5)}).config["mismatch"]["chips"] == 5
    assert repr(st.Simulator("torch", dt_ms=0.5)) == "Simulator(name='torch', dt_ms=0.5)"


def test_a_graph_of_objects() -> None:
    graph = st.Graph(
        (4, 4),
        {"edges": st.Population(), "out": st.Population(3, neuron=st.LIF(bias=0.5), bias_spread=0.1)},
        {
            "look": st.Connection("input", "edges", st.Conv2d(channels=2, kernel=3), weight_gain=0.5),
            "decide": st.Connection("edges", "out", delay_ms=2.0),
            "again": st.Connection("out", "out", "recurrent"),
        },
        st.LIF(bias=1.0),
        feedback=st.Layered(),
    )
    keys = {
        "input": [4, 4],
        "populations": {
            "edges": {},
            "out": {"size": 3, "neuron": {"model": "lif", "bias": 0.5}, "bias_spread": 0.1},
        },
        "connections": {
            "look": {
                "pre": "input",
                "post": "edges",
                "kind": "conv2d",
                "channels": 2,
                "kernel": 3,
                "weight_gain": 0.5,
            },
            "decide": {"pre": "edges", "post": "out", "delay_ms": 2.0},
            "again": {"pre": "out", "post": "out", "kind": "recurrent"},
        },
        "neuron": {"model": "lif", "bias": 1.0},
        "feedback": "layered",
    }
    rule = {"name": "dfc", "feedback": "transposed"}
    changes = {"rule": rule, "training.optimizer": "sgd"}
    objects = st.load(CONFIG, {**changes, "network": graph})
    assert objects.config == st.load(CONFIG, {**changes, "network": keys}).config


SECTIONS = {
    st.Network: NetworkPart,
    st.Graph: GraphPart,
    st.Population: PopulationPart,
    st.Connection: ConnectionPart,
    st.Mismatch: MismatchPart,
    st.Simulator: SimulatorPart,
    st.Training: TrainingPart,
    st.Bridge: BridgePart,
    st.Analysis: AnalysisPart,
}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_sections_have_the_keys_of_the_schema(section: type) -> None:
    """What an object can say is what the config can say, no more and no less."""
    arguments = inspect.signature(section).parameters.values()
    named = {a.name for a in arguments if a.kind is not inspect.Parameter.VAR_KEYWORD}
    renamed = {"by": "kind"} if section is st.Connection else {}
    extra = {"measured"} if section is st.Mismatch else set()  # an imperfection that is a file
    assert {renamed.get(name, name) for name in named} - extra == set(SECTIONS[section].model_fields)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"network": st.Network([16, 12, 4.5], st.LIF())}, "network.layers.2"),  # type: ignore[list-item]
        ({"mismatch": st.Mismatch(2, treshold=st.Normal(cv=0.1))}, "mismatch.treshold"),
        ({"training": st.Training(1, 0, 1.0)}, "training.batch"),
        ({"simulator": st.Simulator("torch", presentation=3)}, "simulator.presentation"),
        ({"network": st.Network}, "network"),
    ],
)
def test_objects_are_refused_by_their_keys(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(st.InputError) as caught:
        st.load(CONFIG, changes)
    assert caught.value.key == key


def test_a_setup_is_a_config(setup: st.Setup, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(setup.yaml, encoding="utf-8")
    again = st.load(tmp_path / "mine.yaml")
    assert {**again.config, "task": "", "name": ""} == {**setup.config, "task": "", "name": ""}
    assert "16-12-3, 2 chips, torch" in repr(setup)
    assert setup.change({"training.epochs": 5}).config["training"]["epochs"] == 5
    assert setup.config["training"]["epochs"] == 2


@dataclass(frozen=True)
class Delta(st.LearningRule):
    """The delta rule on the read-out.

    Args:
        strength: factor on the error.
    """

    strength: float = 1.0
    name: ClassVar[str] = "delta"
    uses_model = False

    def presentation(self, batch: st.Batch, model: st.Model) -> tuple[Phase, ...]:
        return (model.stimulus.phase("free", batch),)

    def update(self, batch: st.Batch, observation: Observation, model: st.Model) -> st.Update:
        rates = observation["free"].rates
        error = self.strength * (batch.target.to(rates[-1]) - rates[-1])
        return st.Update((None, st.Outer(rates[-2], error)), residual=error.abs().mean(dim=(1, 2)))


def test_a_rule_of_ones_own() -> None:
    st.register(Delta)
    x, y = samples()
    run = st.load(CONFIG, {"rule": {"name": "delta", "strength": 0.5}}).fit(x, y, test=samples(45, seed=1))
    read_out = st.load(CONFIG, {"rule": "readout_only"}).fit(x, y, test=samples(45, seed=1))
    assert run.accuracy.min() > 0.5
    assert run.summary["rule"] == "delta"
    np.testing.assert_array_equal(run.weights["input->hidden"], read_out.weights["input->hidden"])
    assert st.load(CONFIG, {"rule": Delta(strength=0.25)}).config["rule"] == {
        "name": "delta",
        "strength": 0.25,
    }


def test_a_neuron_a_distribution_and_a_task_of_ones_own() -> None:
    @st.register
    @dataclass(frozen=True)
    class Leaky(st.LIF):
        """A LIF neuron under another name."""

        model: ClassVar[str] = "leaky"

    @st.register(name="half")
    @dataclass(frozen=True)
    class Half(st.Normal):
        """A normal distribution."""

    @st.register
    @dataclass(frozen=True)
    class ThreeRows(st.Task):
        """Bright rows.

        Args:
            count: number of samples.
        """

        count: int = 60

        def load(self, data_dir: Path | None, memory_bytes: int = 0) -> st.TaskData:
            x, y = samples(self.count)
            flat = x.reshape(len(x), -1)
            return st.TaskData.of_arrays((flat, y), (flat, y), classes=3)

    config = {
        "task": ThreeRows(count=90),
        "network.neuron": {"model": "leaky", "bias": 1.0},
        "mismatch.threshold": {"distribution": "half", "cv": 0.2},
    }
    own = st.load({**CONFIG, "task": "three_rows"}, config).fit()
    known = st.load(CONFIG).fit(*samples(90), test=samples(90))
    np.testing.assert_array_equal(own.weights["input->hidden"], known.weights["input->hidden"])


def test_a_class_is_replaced_and_an_installed_one_is_not() -> None:
    st.register(Delta)
    st.register(Delta)
    assert plugins.load("rules", "delta") is Delta
    assert "delta" in plugins.available("rules")

    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (Delta(), {}, "part: .*a class, not an object"),
        (int, {}, "part: got 'int'.*LearningRule, Neuron"),
        (Delta, {"name": "dfc"}, "name: got 'dfc'.*installed"),
        (Delta, {"name": "My Rule"}, "name: got 'My Rule'.*lower-case"),
        (st.LearningRule, {}, "part: "),
    ]
    for part, keys, said in wrong:
        with pytest.raises(st.InputError, match=said):
            st.register(part, **keys)


def test_an_object_without_a_name_says_how_to_give_it_one() -> None:
    with pytest.raises(st.InputError, match=r"spiketrain\.register\(Delta\)"):
        st.load(CONFIG, {"rule": Delta()})
