"""A small rate run, deployed with messages of changes: what is counted, and what is refused."""

import json

import pytest

from root.errors import InputError
from spiketrain.config import load_experiment
from spiketrain.deployment.deploy import deploy
from spiketrain.experiment import run
from spiketrain.record.files import read_tensors

SMALL = (
    "network.layers=[64,20,10]",
    "mismatch.chips=2",
    "training.epochs=2",
    "simulator.presentation_ms=30",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    run(load_experiment("rate/backprop_digits_lava", SMALL), folder, quiet=True, report=False)
    return folder


@pytest.mark.parametrize(("target", "threshold"), [("loihi2", 0.02), ("lava-float", None)])
def test_a_rate_run_is_deployed_and_its_messages_are_counted(environment, trained, target, threshold):
    folder, _ = deploy(trained, target, fine_tune=0, message_threshold=threshold)
    stored = json.loads((folder / "summary.json").read_text())
    assert stored["emulator_equals_lava"] is True
    assert stored["test_accuracy_before"] == pytest.approx(stored["test_accuracy_of_run"])
    assert min(stored["test_accuracy"]) > 0.8
    assert abs(stored["largest_loss"]) < 0.05
    cost = stored["cost"]
    sent = cost["messages_per_sample"]
    assert 20 < sent["layer 0"] < 64  # once, where a pixel is not black
    assert sent["layer 0"] + sent["layer 1"] + sent["layer 2"] <= 30 * (64 + 20 + 10)
    assert cost["synaptic_operations_per_sample"] == pytest.approx(
        sent["layer 0"] * 20 + sent["layer 1"] * 10
    )
    assert cost["message_threshold"] == (threshold or 0.0)
    assert "messages, hidden" in (folder / "deployment.html").read_text()
    if target == "loihi2":
        assert sent["layer 1"] < 0.5 * 30 * 20
        registers, _ = read_tensors(folder / "registers.safetensors")
        assert registers["layer.0.constant.table"].shape == (2, 20, 257)


@pytest.mark.parametrize(
    ("target", "threshold", "said"),
    [
        ("lava-float", 0.1, "compared with torch"),
        ("loihi2", -1.0, "a number >= 0"),
        ("loihi2", float("nan"), "a number >= 0"),
    ],
)
def test_thresholds_that_cannot_be_are_refused(environment, trained, target, threshold, said):
    with pytest.raises(InputError, match=said):
        deploy(trained, target, message_threshold=threshold)
