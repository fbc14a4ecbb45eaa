"""Chips as a lab measured them: read with holes and outliers, placed, interpolated, drawn, fitted, written
as presets."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from mismatch import presets
from mismatch.chip import ChipPopulation
from mismatch.distributions import DieShift, Lognormal, Normal, Uniform
from mismatch.imperfections.measured import Measured
from mismatch.measurement import read_measurement
from mismatch.measurement.fitting import fit
from mismatch.oracle import reveal
from mismatch.population import draw
from mismatch.spec import MismatchSpec
from root.errors import InputError
from root.seeds import SeedTree
from spiketrain.config import load_experiment
from spiketrain.config.experiment import Experiment
from spiking.connections import OneToOne
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import Weights
from spiking.simulators.torch import TorchSimulator

NETWORK = chain([5, 4, 3], LIF())


def file_of(folder, **arrays):
    path = folder / "measured.npz"
    np.savez(path, **arrays)
    return path


def truth(kind, chips=1, network=NETWORK, biases=0.0):
    """Return what chips with a kind compute with, all synapses being programmed to 1."""
    spec = MismatchSpec(chips, 3, imperfections={"measured": kind})
    made = ChipPopulation(network, spec, TorchSimulator(), SeedTree(0))
    sizes = network.sizes
    made.program(
        Weights(
            forward=tuple(
                torch.ones(chips, sizes[c.pre], sizes[c.post]).double() for c in network.connections
            ),
            bias=tuple(torch.full((chips, n), biases).double() for n in sizes[1:]),
        )
    )
    return reveal(made)


def test_every_device_takes_the_value_of_its_place(tmp_path):
    threshold = np.array([0.8, 1.2, 1.0, 1.4])
    weight = np.linspace(0.5, 1.5, 20).reshape(5, 4)
    path = file_of(tmp_path, **{"threshold.1": threshold, "weight.1": weight})
    found = truth(Measured(str(path)))
    torch.testing.assert_close(found.neurons[0]["threshold"][0].numpy(), threshold / threshold.mean())
    torch.testing.assert_close(found.shadows[0]["threshold"], found.neurons[0]["threshold"])
    torch.testing.assert_close(found.weights[0][0].numpy(), weight / weight.mean())
    assert bool((found.neurons[1]["threshold"] == 1.0).all())
    assert bool((found.weights[1] == 1.0).all())


def test_dies_are_chips_and_counted_round(tmp_path):
    threshold = np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0]])
    found = truth(Measured(str(file_of(tmp_path, **{"threshold.1": threshold}))), chips=3)
    assert found.neurons[0]["threshold"][:, 0].tolist() == pytest.approx([2 / 3, 4 / 3, 2 / 3])


def test_holes_and_outliers_are_left_out_and_drawn_from_the_others(tmp_path):
    g = np.random.default_rng(0)
    values = 1 + 0.1 * g.standard_normal(200)
    values[:20] = np.nan
    values[20] = 55.0
    path = file_of(tmp_path, threshold=values)
    known = read_measurement(path).quantities[0]
    assert (known.failed, known.outliers, len(known.good)) == (20, 1, 179)
    kept = read_measurement(path, outliers=None).quantities[0]
    assert kept.outliers == 0
    assert kept.good.max() == 55.0
    network = chain([5, 200, 3], LIF())
    found = truth(Measured(str(path)), network=network).neurons[0]["threshold"][0].numpy()
    good = known.good / known.good.mean()
    torch.testing.assert_close(found[21:], (values / known.good.mean())[21:])
    assert all(np.isclose(good, value).any() for value in found[:21])
    assert len(set(found[:21])) > 5


def test_what_goes_together_in_the_file_does_so_in_the_chips(tmp_path):
    g = np.random.default_rng(0)
    threshold = 1 + 0.2 * g.uniform(-1, 1, 50)
    path = file_of(tmp_path, threshold=threshold, tau_m=20 * threshold**2)
    found = truth(Measured(str(path)), network=chain([5, 400, 3], LIF())).neurons[0]
    a, b = found["threshold"][0], found["tau_m_ms"][0]
    assert float(torch.corrcoef(torch.stack([a, b]))[0, 1]) > 0.99
    one, other = (
        truth(Measured(str(path)), chips=2, network=chain([5, 400, 3], LIF())).neurons[0] for _ in "ab"
    )
    assert torch.equal(one["threshold"], other["threshold"])  # a function of the seed
    assert not torch.equal(one["threshold"][0], one["threshold"][1])


def test_a_spread_that_depends_on_the_bias_is_interpolated(tmp_path):
    at = np.array([0.5, 1.0, 2.0])
    spread = np.array([0.4, 0.2, 0.1])
    z = np.array([-1.0, 1.0, -0.5, 0.5])
    path = file_of(tmp_path, threshold=1 + z[:, None] * spread, threshold_at=at)
    for bias, wanted in ((0.5, 0.4), (0.75, 0.3), (1.5, 0.15), (2.0, 0.1), (9.0, 0.1), (0.0, 0.4)):
        found = truth(Measured(str(path)), biases=bias).neurons[0]["threshold"][0]
        torch.testing.assert_close(found, torch.from_numpy(1 + z * wanted))


def test_fault_maps_break_the_devices_they_name(tmp_path):
    unusable = np.zeros((5, 4), dtype=bool)
    unusable[2, 3] = unusable[0, 0] = True
    path = file_of(
        tmp_path, **{"dead.1": np.array([1, 3]), "unusable.1": unusable, "unusable.2": np.array([[3, 0]])}
    )
    found = truth(Measured(str(path)))
    assert (found.neurons[0]["threshold"][0] > 100).tolist() == [False, True, False, True]
    assert not (found.neurons[1]["threshold"] > 100).any()
    assert (found.weights[0][0] == 0).numpy().tolist() == unusable.tolist()
    assert (found.weights[1][0] == 0).nonzero().tolist() == [[3, 0]]


def test_a_table_is_read_by_its_names(tmp_path):
    path = tmp_path / "measured.csv"
    rows = ["layer,neuron,threshold,tau_m,dead", "1,0,0.9,20,0", "1,1,1.1,,0", "1,2,1.0,22,1", "1,3,n/a,18,0"]
    path.write_text("\n".join([*rows, "2,0,1,20,0", "2,1,2,20,0", "2,2,3,21,0"]))
    known = read_measurement(path)
    assert {(q.name, q.layer): q.failed for q in known.quantities} == {
        ("threshold", 1): 1,
        ("tau_m", 1): 1,
        ("threshold", 2): 0,
        ("tau_m", 2): 0,
    }
    assert known.dead[1].tolist() == [2]
    found = truth(Measured(str(path)))
    assert (found.neurons[0]["threshold"][0] > 100).tolist() == [False, False, True, False]
    assert found.neurons[1]["threshold"][0].tolist() == [0.5, 1.0, 1.5]


def test_one_array_is_what_the_config_says_it_is(tmp_path):
    path = tmp_path / "v.npy"
    np.save(path, np.array([0.5, 1.5, 1.0, 1.0]))
    assert truth(Measured(str(path), "threshold")).neurons[0]["threshold"][0].tolist() == [0.5, 1.5, 1.0, 1.0]


@pytest.mark.parametrize(
    "arrays",
    [
        {"threshold": np.array(["a", "b"])},
        {"threshold": np.ones((2, 2, 2))},
        {"threshold": np.full(4, np.nan)},
        {"threshold": -np.ones(4)},
        {"threshold": np.ones((4, 3)), "threshold_at": np.array([1.0, 2.0])},
        {"threshold": np.ones((4, 2)), "threshold_at": np.array([2.0, 1.0])},
        {"other_at": np.ones(2), "threshold": np.ones(4)},
        {"dead": np.array([0.5])},
        {"unusable": np.array([1, 2])},
    ],
)
def test_a_file_that_cannot_be_is_refused(tmp_path, arrays):
    with pytest.raises(InputError) as caught:
        Measured(str(file_of(tmp_path, **arrays)))
    assert caught.value.key == "file"


def config(path, **changes):
    data = load_experiment("dfc_lif.yaml", ["network.layers=[64, 4, 10]", "simulator.name=torch"]).resolved()
    return {**data, "mismatch": {"chips": 1, "measured": str(path), **changes}}


def test_a_config_names_the_file_alone_and_keeps_its_checksum(tmp_path):
    path = file_of(tmp_path, **{"threshold.1": np.array([0.8, 1.2, 1.0, 1.4])})
    experiment = Experiment.from_mapping(config(path))
    kept = experiment.resolved()
    assert kept["mismatch"]["measured"]["file"] == str(path)
    assert Experiment.from_mapping(kept).resolved() == kept
    file_of(tmp_path, **{"threshold.1": np.array([0.8, 1.2, 1.0, 1.5])})
    with pytest.raises(InputError, match=r"mismatch\.measured\.sha256"):
        Experiment.from_mapping(kept)
    for name in ("thresh", "threshold.3"):
        with pytest.raises(InputError, match=r"mismatch\.measured\.file"):
            Experiment.from_mapping(config(file_of(tmp_path, **{name: np.array([0.8, 1.2, 1.0, 1.5])})))


@pytest.mark.parametrize(
    "kind", [Normal(0.2), Lognormal(0.5), Uniform(0.3), DieShift(0.3, {"distribution": "normal", "cv": 0.1})]
)
def test_the_distribution_that_values_come_from_is_the_nearest(tmp_path, kind):
    g = np.random.default_rng(1)
    dies = [kind.factors(g, np.random.default_rng(die), (400,)) for die in range(12)]
    found = fit(
        read_measurement(file_of(tmp_path, threshold=7.0 * np.stack(dies)), outliers=None).quantities[0]
    )
    names = {Normal: "normal", Lognormal: "lognormal", Uniform: "uniform", DieShift: "die_shift"}
    assert found.entry["distribution"] == names[type(kind)]
    assert found.distance < 2 * found.noise
    if isinstance(kind, DieShift):
        assert found.entry["local"]["cv"] == pytest.approx(0.1, rel=0.1)
        assert found.entry["shift_cv"] == pytest.approx(0.3, rel=0.5)
    else:
        assert found.entry["cv"] == pytest.approx(kind.cv, rel=0.1)


def test_the_command_shows_draws_and_writes_a_preset_that_a_config_takes(tmp_path):
    g = np.random.default_rng(1)
    threshold = 1 + 0.2 * g.standard_normal(300)
    threshold[:7] = np.nan
    path = file_of(tmp_path, threshold=threshold, tau_m=20 * threshold + 0.1 * g.standard_normal(300))
    preset, figure = tmp_path / "mine.yaml", tmp_path / "mine.svg"
    command = [
        sys.executable,
        "-m",
        "spiketrain.cli",
        "chips",
        "measured",
        str(path),
        "--figure",
        str(figure),
    ]
    done = subprocess.run(
        [*command, "--preset", str(preset), "--source", "our lab, die 7"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "correlation of threshold and tau_m: 1.00" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    assert next(row for row in rows if row[:1] == ["threshold"])[3] == "7"
    assert figure.stat().st_size > 1000
    written = yaml.safe_load(preset.read_text())
    assert written["source"] == "our lab, die 7"
    assert "7 left out" in written["ours"]
    assert presets.load(str(preset))["threshold"]["distribution"] == "normal"
    experiment = load_experiment("dfc_lif.yaml", [f"mismatch.preset={preset}", "mismatch.threshold=null"])
    assert experiment.build_mismatch().deviations["tau_m"].cv == pytest.approx(0.2, rel=0.2)
    again = subprocess.run([*command, "--preset", str(preset)], capture_output=True, text=True, check=False)
    assert (again.returncode, "--source" in again.stderr) == (2, True)


def test_a_preset_of_ones_own_that_is_none_is_refused(tmp_path):
    file = tmp_path / "p.yaml"
    for content in ("- 1", "source: x", "mismatch: {}\nsource: 1\nours: x", "a: !!python/object:os.system x"):
        file.write_text(content)
        with pytest.raises(InputError, match=r"mismatch\.preset"):
            presets.load(str(file))


def test_synapses_that_are_not_all_to_all_take_the_values_of_their_places(tmp_path):
    plain = chain([5, 5, 3], LIF())
    first = replace(plain.connections[0], pattern=OneToOne())
    network = replace(plain, connections=(first, *plain.connections[1:]))
    matrix = np.linspace(0.5, 1.5, 25).reshape(5, 5)
    path = file_of(tmp_path, **{"weight.1": matrix, "unusable.1": np.array([[2, 2], [0, 1]])})
    spec = MismatchSpec(1, 3, imperfections={"measured": Measured(str(path))})
    found = draw(network, spec).values["weight.1"][0]
    wanted = np.diag(matrix / matrix.mean()).copy()
    wanted[2] = 0.0
    torch.testing.assert_close(found.numpy(), wanted)
