"""Populations as a config says them: presets, tables, measured curves, the calibrated arm, drift."""

import pytest
import torch
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from mismatch import presets
from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.oracle import reveal
from mismatch.population import Population, draw
from mismatch.spec import MismatchSpec
from root.errors import InputError
from root.seeds import SeedTree
from spiketrain.cli import app
from spiketrain.config import Experiment
from spiketrain.curves import measure_curves
from spiketrain.drift import FIXED, LEARNING, DriftPlan, drift, figure
from spiketrain.experiment import run
from spiketrain.restoring import trained
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import Weights
from spiking.simulators.torch import TorchSimulator

CONFIG = {
    "name": "small",
    "task": {"name": "digits"},
    "network": {"layers": [64, 12, 10], "neuron": {"model": "lif", "bias": 1.0}, "bias_spread": 0.5},
    "rule": {"name": "dfc", "controller": {"kp": 1.0, "ki_per_ms": 0.02}},
    "simulator": {"name": "torch", "presentation_ms": 40, "window_ms": 30},
    "training": {"epochs": 1, "batch": 128, "learning_rate": 3.0, "optimizer": {"name": "nlms"}},
}


def experiment(mismatch, **changes):
    return Experiment.from_mapping({**CONFIG, **changes, "mismatch": mismatch})


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_is_a_whole_mismatch_with_a_source(name):
    text = presets.describe(name)
    assert text["source"]
    assert text["ours"]
    made = experiment({"preset": name, "chips": 2}).build_mismatch()
    assert not made.is_ideal
    assert sorted({**made.deviations, **made.imperfections}) == sorted(presets.load(name))


def test_other_keys_replace_a_preset_s_one_by_one():
    spec = experiment(
        {"preset": "teili", "threshold": {"distribution": "normal", "cv": 0.1}, "tau_m": None}
    ).build_mismatch()
    assert spec.deviations["threshold"] == Normal(0.1)
    assert spec.deviations["weight"] == Normal(0.2)
    assert "tau_m" not in spec.deviations


def test_a_resolved_config_with_a_preset_and_kinds_is_the_same_experiment():
    first = experiment({"preset": "aihwkit_reram_om", "read_noise": {"std": 0.1}, "faults": {"dead": 0.1}})
    again = Experiment.from_mapping(first.resolved())
    assert again.build_mismatch() == first.build_mismatch()
    assert first.resolved()["mismatch"]["updates"]["spread"] == 0.7829


@pytest.mark.parametrize(
    ("mismatch", "key"),
    [
        ({"preset": "tieli"}, "mismatch.preset"),
        ({"read_nois": {"std": 0.1}}, "mismatch.read_nois"),
        ({"read_noise": {"sdt": 0.1}}, "mismatch.read_noise.sdt"),
        ({"read_noise": {"std": -1.0}}, "mismatch.read_noise.std"),
        ({"read_noise": 0.1}, "mismatch.read_noise"),
        ({"faults": {"dead": 1.5}}, "mismatch.faults.dead"),
        ({"random_walk": {"std": {"gain": 0.1}}}, "mismatch.random_walk.std"),
        ({"delay": {"distribution": "normal", "cv": 0.1}}, "mismatch.delay"),
    ],
)
def test_what_is_wrong_is_named_before_anything_runs(mismatch, key):
    with pytest.raises(InputError) as caught:
        experiment(mismatch)
    assert caught.value.key == key


def test_a_machine_without_membrane_noise_is_refused_in_the_config():
    with pytest.raises(InputError, match="torch"):
        experiment({"membrane_noise": {"density": 0.3}}, simulator={"name": "brian2", "mode": "runtime"})


SPEC = MismatchSpec(3, 4, {"threshold": Normal(0.1), "weight": Normal(0.2)})
NETWORK = chain([8, 30, 4], LIF())


def test_a_population_is_described_stored_and_compared(tmp_path):
    drawn = draw(NETWORK, SPEC)
    rows = {row.name: row for row in drawn.describe()}
    assert {"neuron.1.threshold", "neuron.2.threshold", "weight.1", "weight.2"} <= rows.keys()
    assert rows["weight.1"].std == pytest.approx(0.2, rel=0.1)
    drawn.save(tmp_path / "chips.safetensors")
    again = Population.load(tmp_path / "chips.safetensors")
    assert all(row.largest == 0 for row in drawn.compare(again))
    other = draw(NETWORK, MismatchSpec(3, 5, SPEC.deviations))
    threshold = {row.name: row for row in drawn.compare(other)}["neuron.1.threshold"]
    assert abs(threshold.correlation) < 0.5


def test_the_population_is_what_the_chips_have():
    drawn = draw(NETWORK, SPEC)
    chips = ChipPopulation(NETWORK, SPEC, TorchSimulator(), SeedTree(0))
    ones = tuple(torch.ones(3, a, b, dtype=torch.float64) for a, b in ((8, 30), (30, 4)))
    chips.program(Weights(ones, tuple(torch.zeros(3, n, dtype=torch.float64) for n in (30, 4))))
    assert torch.equal(drawn.values["weight.1"], reveal(chips).weights[0])
    assert torch.equal(drawn.values["neuron.1.threshold"], reveal(chips).neurons[0]["threshold"])


def test_measured_curves_are_those_of_the_true_neurons():
    """A neuron's rheobase is its threshold, which the curve finds to a level's distance."""
    spec = MismatchSpec(2, 1, {"threshold": Normal(0.2)})
    chips = ChipPopulation(NETWORK, spec, TorchSimulator(), SeedTree(0))
    (curve, _) = measure_curves(chips, points=60, steps=800)
    ones = tuple(torch.ones(2, a, b, dtype=torch.float64) for a, b in ((8, 30), (30, 4)))
    chips.program(Weights(ones, tuple(torch.zeros(2, n, dtype=torch.float64) for n in (30, 4))))
    threshold = reveal(chips).neurons[0]["threshold"]
    silent = (curve.rates > 0.02).double().argmax(-1)
    onset = curve.currents[silent]
    assert torch.corrcoef(torch.stack([onset.flatten(), threshold.flatten()]))[0, 1] > 0.98
    assert (onset - threshold).abs().mean() < 0.1


def test_the_calibrated_arm_tells_curves_and_survives_a_checkpoint(tmp_path):
    mismatch = {"chips": 2, "threshold": {"distribution": "normal", "cv": 0.3}}
    made = experiment(
        mismatch, rule={"name": "backprop"}, training={**CONFIG["training"], "arm": "calibrated", "epochs": 1}
    )
    run(made, tmp_path / "run", quiet=True, report=False)
    model = trained(made, tmp_path / "run").model
    assert model.calibrated
    assert model.transfer(0).rates.shape[:2] == (2, 12)
    assert not torch.equal(model.transfer(0).rates[0], model.transfer(0).rates[1])


def test_the_command_prints_saves_and_draws(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump({**CONFIG, "mismatch": {"preset": "dynapse", "faults": {"rows": 0.1}}}))
    options = ["chips", "--config", str(config), "--save", str(tmp_path / "p.safetensors")]
    result = CliRunner().invoke(app, [*options, "--figure", str(tmp_path / "p.svg")])
    assert result.exit_code == 0, result.output
    assert "neuron.1.threshold" in result.output
    assert "faults" in result.output
    assert (tmp_path / "p.svg").read_text().lstrip().startswith("<?xml")
    options = ["chips", "--config", str(config), "--compare", str(tmp_path / "p.safetensors")]
    result = CliRunner().invoke(app, [*options, "--curves", str(tmp_path / "curves.png")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "curves.png").stat().st_size > 1000
    bad = CliRunner().invoke(app, ["chips", "--config", str(config), "--figure", str(tmp_path / "p.xyz")])
    assert bad.exit_code == 2


def test_drift_is_followed_with_and_without_learning(tmp_path):
    drifting = {"chips": 2, "conductance_drift": {"nu": 0.2, "since": "start", "t0_ms": 1e5}}
    made = experiment(drifting, training={**CONFIG["training"], "epochs": 2})
    rows = drift(made, tmp_path / "run", DriftPlan(2, 1, batches=4))
    assert len(rows) == 2 * 3 * 2
    start = rows[rows["factor"] == 1].pivot(index="chip", columns="weights", values="test_accuracy")
    assert (start[FIXED] == start[LEARNING]).all()
    end = rows[rows["factor"] == 100].groupby("weights")["test_accuracy"].mean()
    assert end[LEARNING] > end[FIXED]
    assert figure(rows).axes[0].get_xscale() == "log"
    again = drift(made, tmp_path / "run", DriftPlan(2, 1, batches=4))
    assert rows.equals(again)


def test_a_rival_is_followed_on_the_same_chips_with_as_many_batches(tmp_path):
    wandering = {"chips": 2, "random_walk": {"std": {"threshold": 0.2}, "tau_s": 3600.0}}
    training = {**CONFIG["training"], "epochs": 1}
    made = experiment(wandering, training=training)
    rule = {"name": "backprop", "output_slope": False}
    other = experiment(wandering, rule=rule, training=training)
    rows = drift(made, tmp_path / "run", DriftPlan(1, 2, batches=3, hours=1.0), rival=other)
    assert sorted(rows["rule"].unique()) == ["backprop", made.rule.name]
    ages = rows["age_ms"].unique()
    start = rows.groupby("rule")["age_ms"].min()
    assert ages.max() - start.max() == pytest.approx(3.6e6)
    learned = rows[rows["weights"] == LEARNING].groupby(["rule", "factor"])["presentations"].max()
    size = made.training.batch
    assert learned["backprop"].tolist() == [0, 3 * size, 6 * size]
    assert (rows[rows["weights"] == FIXED]["presentations"] == 0).all()
    assert figure(rows).axes[0].get_xlabel() == "hours after training"
    with pytest.raises(InputError, match=r"--rival.*mismatch is another"):
        drift(made, tmp_path / "x", DriftPlan(1, 1), rival=experiment({"chips": 3}, rule=rule))
    assert not (tmp_path / "x").exists()


def test_what_the_synapses_hold_and_the_clock_survive_an_interruption(tmp_path):
    """One epoch, resumed for a second one, gives the bits of two epochs at once."""
    kinds = {
        "chips": 2,
        "write_noise": {"std": 0.02},
        "endurance": {"writes": 12.0},
        "conductance_drift": {"nu": 0.1, "t0_ms": 100.0},
        "random_walk": {"std": {"threshold": 0.1}, "tau_s": 100.0},
        "read_noise": {"std": 0.05},
    }

    def weights(directory, epochs, *, resume=False):
        made = experiment(kinds, training={**CONFIG["training"], "epochs": epochs})
        run(made, directory, resume=resume, quiet=True, report=False)
        return {**load_file(directory / "weights.safetensors"), **load_file(directory / "truth.safetensors")}

    whole = weights(tmp_path / "whole", 2)
    weights(tmp_path / "parts", 1)
    resumed = weights(tmp_path / "parts", 2, resume=True)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
