"""Parts as objects mean what their keys mean, and a class of one's own has a name in one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import spiketrain as st
from rate_bridge import plugins
from spiking.presentation import Observation, Phase

from .conftest import CONFIG, samples


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    before = dict(plugins._OWN)
    yield
    plugins._OWN.clear()
    plugins._OWN.update(before)


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
