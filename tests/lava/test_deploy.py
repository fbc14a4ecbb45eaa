"""A small run, deployed: what must be in the report, and that Lava and the emulator agree."""

import json

import pytest
import torch
from typer.testing import CliRunner

from root.errors import InputError
from spiketrain.cli import app
from spiketrain.config import load_experiment
from spiketrain.deployment.deploy import deploy
from spiketrain.experiment import run
from spiketrain.record.files import read_tensors
from spiking.nir import read
from spiking.simulators.fixed_point.ranges import check

SMALL = (
    "simulator.name=torch",
    "network.layers=[64,30,10]",
    "mismatch.chips=2",
    "training.epochs=1",
    "simulator.presentation_ms=60",
    "simulator.window_ms=40",
    "simulator.test_presentation_ms=80",
    "simulator.test_window_ms=60",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    run(load_experiment("spiking/dfc_two_phase_digits", SMALL), folder, quiet=True, report=False)
    return folder


@pytest.mark.parametrize("target", ["loihi2", "lava-float"])
def test_a_run_is_deployed_and_the_machines_agree(environment, trained, target):
    folder, summary = deploy(trained, target, fine_tune=0)
    stored = json.loads((folder / "summary.json").read_text())
    assert stored["emulator_equals_lava"] is True
    assert len(stored["test_accuracy"]) == len(stored["test_accuracy_before"]) == 2
    assert stored["samples"] == 360
    assert stored["test_accuracy_before"] == pytest.approx(stored["test_accuracy_of_run"])
    assert min(stored["test_accuracy"]) > 0.5
    assert abs(stored["largest_loss"]) < 0.1
    assert stored["speed"]["emulator_times_faster_than_one_at_a_time"] > 5
    assert stored["cost"]["memory"]["fits_one_chip"]
    assert stored["cost"]["synaptic_operations_per_sample"] > 1000
    assert "floating point" in (folder / "deployment.html").read_text()
    assert (target == "loihi2") == bool(stored["quantisation"])
    assert summary["target"] == target


LAYERED = (
    "network.layers=[64,60,40,10]",
    "mismatch.chips=2",
    "training.epochs=4",
    "training.learning_rate=0.01",
    "training.average=0.9",
    "simulator.presentation_ms=100",
    "simulator.window_ms=60",
    "simulator.test_presentation_ms=120",
    "simulator.test_window_ms=100",
)


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deep") / "run"
    run(load_experiment("spiking/dfc_deep_digits", LAYERED), folder, quiet=True, report=False)
    return folder


@pytest.mark.parametrize("target", ["loihi2", "lava-float"])
def test_a_run_with_layered_feedback_is_deployed_without_it(environment, deep, target):
    folder, summary = deploy(deep, target)
    assert summary["emulator_equals_lava"] is True
    assert summary["test_accuracy_before"] == pytest.approx(summary["test_accuracy_of_run"], abs=0.01)
    assert min(summary["test_accuracy"]) > 0.85
    assert abs(summary["largest_loss"]) < 0.03
    assert summary["fine_tuned_epochs"] == 0
    if target == "loihi2":
        weights, _ = read_tensors(folder / "weights.safetensors")
        assert not [name for name in weights if name.startswith("feedback")]


def test_training_on_a_target_without_a_relay_is_refused(environment, deep, tmp_path):
    with pytest.raises(InputError, match=r"--fine-tune: got 1; allowed: 0: loihi2 cannot relay"):
        deploy(deep, "loihi2", tmp_path / "none", fine_tune=1)
    assert not (tmp_path / "none").exists()


def test_the_registers_are_legal_and_one_chip_can_be_chosen(environment, trained, tmp_path):
    folder, summary = deploy(trained, "loihi2", tmp_path / "one", chips="1", fine_tune=0)
    assert summary["chips"] == [1]
    everything = json.loads((trained / "deploy-loihi2" / "summary.json").read_text())
    assert summary["test_accuracy"] == everything["test_accuracy"][1:]
    registers, _ = read_tensors(folder / "registers.safetensors")
    assert registers["weight.0"].shape == (1, 64, 30)
    for name, value in registers.items():
        if name.endswith((".vth", ".dv")):
            check(name.rsplit(".", 1)[-1], value.double(), name)
        if name in {"weight.0", "weight.1"}:
            check("weight", value.double(), name)


def test_fine_tuning_trains_on_the_target(environment, trained, tmp_path, monkeypatch):
    monkeypatch.setattr("spiketrain.deployment.deploy.TOLERANCE", -1.0)  # always
    folder, summary = deploy(trained, "loihi2", tmp_path / "tuned", chips="0", fine_tune=1)
    assert summary["fine_tuned_epochs"] == 1
    before, _ = read_tensors(trained / "weights.safetensors")
    after, _ = read_tensors(folder / "weights.safetensors")
    assert not torch.equal(before["forward.input->hidden"][:1], after["forward.input->hidden"])
    assert summary["test_accuracy"][0] > summary["test_accuracy_not_tuned"][0] - 0.05
    assert summary["emulator_equals_lava"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "loihi9"], "--target: got 'loihi9'; allowed: lava-float, loihi2"),
        (["--chips", "7"], "--chips: got '7'"),
        (["--output", "{run}"], "--output"),
    ],
)
def test_wrong_requests_are_refused(environment, trained, arguments, said):
    given = [word.replace("{run}", str(trained)) for word in arguments]
    result = CliRunner().invoke(app, ["deploy", str(trained), *given])
    assert result.exit_code == 2
    assert said in result.stderr


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="the folder of a finished run"):
        deploy(tmp_path, "loihi2")


@pytest.mark.parametrize("effective", [False, True])
def test_the_chips_of_a_run_are_exported(trained, tmp_path, effective):
    words = ["export", str(trained), "--output", str(tmp_path), *(["--effective"] if effective else [])]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chip-0.nir", "chip-1.nir"]
    chip = read(tmp_path / "chip-1.nir")
    source = "truth.safetensors" if effective else "weights.safetensors"
    stored, _ = read_tensors(trained / source)
    assert torch.equal(chip.weights[0], stored["weight.1" if effective else "forward.input->hidden"][1])
    assert chip.content == ("effective" if effective else "programmed")
    spread = float(chip.neurons[0]["threshold"].std())
    assert (spread > 0.05) == effective


def test_lava_commands(environment):
    result = CliRunner().invoke(app, ["lava", "where"])
    assert result.exit_code == 0
    assert str(environment.folder) in result.stdout
    result = CliRunner().invoke(app, ["lava", "where", "--folder", "/nowhere"])
    assert result.exit_code == 2
    assert "spiketrain lava install" in result.stderr
