"""A network from a NIR file: the same spikes as the run it was exported from, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nir as reference
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from learning.stimulus import Batch
from mismatch.population import draw
from root.errors import InputError
from spiketrain.cli import app
from spiketrain.config import Experiment, load_experiment
from spiketrain.deployment.source import read_run
from spiketrain.evaluation import evaluate
from spiketrain.experiment import run
from spiketrain.export import export_nir
from spiketrain.parts import Parts, build
from spiketrain.record.files import read_tensors, read_yaml, write_yaml
from spiketrain.studies.study import Study, load_study
from spiking.presentation import Phase

DEVIATING = {
    name: {"distribution": "normal", "cv": 0.2}
    for name in ("threshold", "tau_m", "tau_syn", "weight", "bias")
}

CONFIG = {
    "task": {"name": "yinyang", "train_samples": 96, "test_samples": 60},
    "network": {
        "layers": [4, 12, 3],
        "neuron": {"model": "lif", "bias": 1.0, "refractory_ms": 2},
        "bias_spread": 0.5,
        "delay_ms": [1.0, 2.0],
    },
    "mismatch": {"chips": 2, "seed": 3, "first_chip": 4, **DEVIATING},
    "bridge": {"max_rate_hz": 80, "readout_tau_ms": 30},
    "rule": {"name": "dfc", "feedback": {"name": "weight_product", "scale": 0.1}},
    "simulator": {"name": "torch", "dt_ms": 0.5, "presentation_ms": 40, "window_ms": 30},
    "training": {"epochs": 1, "batch": 32, "learning_rate": 1.0},
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A run of two chips, and its NIR files."""
    folder = tmp_path_factory.mktemp("nir")
    run(Experiment.from_mapping({"name": "small", **CONFIG}), folder / "run", quiet=True, report=False)
    export_nir(folder / "run", folder / "programmed")
    export_nir(folder / "run", folder / "effective", effective=True)
    return folder


def from_file(path: Path, content: str, chip: int, **changes: object) -> dict[str, object]:
    """Return the config of one exported chip."""
    deviating = DEVIATING if content == "programmed" else {}
    mismatch = {"chips": 1, "seed": 3, "first_chip": chip, **deviating}
    config = {**CONFIG, "network": {"nir": str(path)}, "mismatch": mismatch, **changes}
    return {"name": "again", **config}


def spikes(parts: Parts) -> list[torch.Tensor]:
    """Return the spikes of every layer on some test samples."""
    x, _ = parts.data.split("test")
    batch = Batch(x[:20], torch.zeros(20, 3).double(), ("look",))
    chips = parts.chips.trial()
    chips.program(parts.deployed())
    phase = parts.test_stimulus.phase("free", batch)
    phase = Phase(**{**vars(phase), "record": frozenset({"spikes"})})
    return list(chips.present((phase,), *batch.key)["free"].traces["spikes"])


@pytest.mark.parametrize("content", ["programmed", "effective"])
@pytest.mark.parametrize("chip", [4, 5])
def test_an_exported_chip_spikes_as_in_its_run(exported, content, chip):
    parts = build(
        Experiment.from_mapping(from_file(exported / content / f"chip-{chip}.nir", content, chip)), None
    )
    summary = json.loads((exported / "run" / "summary.json").read_text())
    assert evaluate(parts, "test").tolist() == [summary["test_accuracy"][chip - 4]]
    original = read_run(exported / "run", str(chip - 4), None).parts("torch")
    for ours, theirs in zip(spikes(parts), spikes(original), strict=True):
        assert ours.sum() > 50
        assert torch.equal(ours, theirs)
    drawn = draw(parts.model.network, parts.chips.spec).values
    truth, _ = read_tensors(exported / "run" / "truth.safetensors")
    for name in ("neuron.1.bias", "neuron.2.threshold"):
        assert torch.equal(drawn[name], truth[name][chip - 4 : chip - 3])
    if content == "effective":
        assert parts.model.network.layers[0].neuron == original.model.network.layers[0].neuron
        assert float(parts.chips.spec.neurons[0]["threshold"].std()) > 0.05


def test_training_begins_with_the_files_weights_and_the_run_keeps_the_file(exported, tmp_path, monkeypatch):
    path = tmp_path / "here" / "chip.nir"
    path.parent.mkdir()
    shutil.copy(exported / "programmed" / "chip-4.nir", path)
    config = from_file(Path("chip.nir"), "programmed", 4)
    write_yaml(tmp_path / "here" / "config.yaml", config)
    loaded = load_experiment(str(tmp_path / "here" / "config.yaml"))
    result = run(loaded, tmp_path / "run", quiet=True, report=False)
    assert result.summary["layers"] == [4, 12, 3]
    weights, _ = read_tensors(exported / "run" / "weights.safetensors")
    first, _ = read_tensors(tmp_path / "run" / "initial_weights.safetensors")
    assert torch.equal(first["forward.hidden->output"], weights["forward.hidden->output"][:1])
    last, _ = read_tensors(tmp_path / "run" / "weights.safetensors")
    assert not torch.equal(last["forward.hidden->output"], first["forward.hidden->output"])

    path.unlink()  # from here on the run's own copy does
    with pytest.raises(InputError, match=r"network\.nir: .*a readable NIR file"):
        load_experiment(str(tmp_path / "here" / "config.yaml"))
    moved = tmp_path / "moved"
    (tmp_path / "run").rename(moved)
    stored = read_yaml(moved / "config.yaml")["network"]
    assert stored["nir"] == "network.nir"
    assert len(stored["sha256"]) == 64
    longer = load_experiment(str(moved / "config.yaml"), ["training.epochs=2"])
    assert run(longer, moved, resume=True, quiet=True, report=False).summary["epochs"] == 2
    again = read_run(moved, None, None).parts("torch")
    assert (
        evaluate(again, "test").tolist() == json.loads((moved / "summary.json").read_text())["test_accuracy"]
    )
    (exported_again,) = export_nir(moved, tmp_path / "exported").paths
    assert load_experiment(
        str(moved / "config.yaml"), [f"network={{nir: {exported_again}}}"]
    ).build_network() == (longer.build_network())

    shutil.copy(exported / "programmed" / "chip-5.nir", moved / "network.nir")
    with pytest.raises(InputError, match=r"network\.sha256: .* The file has changed"):
        load_experiment(str(moved / "config.yaml"))


def test_an_override_is_relative_to_the_working_directory(exported, tmp_path, monkeypatch):
    write_yaml(tmp_path / "config.yaml", from_file(Path("nothing.nir"), "programmed", 4))
    monkeypatch.chdir(exported / "programmed")
    chosen = load_experiment(str(tmp_path / "config.yaml"), ["network.nir=chip-5.nir"])
    assert chosen.resolved()["network"]["nir"] == str(exported / "programmed" / "chip-5.nir")
    assert Experiment.from_mapping(chosen.resolved()).resolved() == chosen.resolved()


def test_a_study_finds_the_file_beside_its_base(exported, tmp_path):
    shutil.copy(exported / "programmed" / "chip-4.nir", tmp_path)
    write_yaml(tmp_path / "base.yaml", from_file(Path("chip-4.nir"), "programmed", 4))
    study = Study.from_mapping({"name": "s", "base": str(tmp_path / "base.yaml")})
    assert study.resolved()["base"]["network"]["nir"] == str(tmp_path / "chip-4.nir")
    inline = {"name": "s", "base": from_file(Path("chip-4.nir"), "programmed", 4)}
    write_yaml(tmp_path / "study.yaml", inline)
    stored = load_study(str(tmp_path / "study.yaml")).resolved()
    assert stored["base"]["network"]["nir"] == str(tmp_path / "chip-4.nir")


def foreign(path: Path, outputs: int = 3) -> Path:
    rng = np.random.default_rng(1)

    def layer(pre: int, post: int) -> tuple[reference.NIRNode, reference.NIRNode]:
        lif = reference.CubaLIF(
            tau_syn=np.full(post, 5e-3),
            tau_mem=np.full(post, 2e-2),
            r=np.ones(post),
            v_leak=np.zeros(post),
            v_threshold=rng.uniform(0.8, 1.2, post),
        )
        return reference.Affine(rng.normal(0, 1, (post, pre)), np.full(post, 0.9)), lif

    reference.write(path, reference.NIRGraph.from_list(*layer(4, 12), *layer(12, outputs)))
    return path


def test_another_programs_graph_is_trained_with_the_configs_clock(tmp_path):
    path = foreign(tmp_path / "foreign.nir")
    experiment = Experiment.from_mapping(from_file(path, "programmed", 0))
    network = experiment.build_network()
    assert (network.sizes, network.dt_ms, network.max_rate_hz) == ((4, 12, 3), 0.5, 80)
    neuron = network.layers[0].neuron
    assert neuron.threshold == pytest.approx(
        float(experiment.build_mismatch().neurons[0]["threshold"].mean())
    )
    assert (neuron.model, neuron.bias) == ("cuba_lif", 0.9)
    summary = run(experiment, tmp_path / "run", quiet=True, report=False).summary
    assert summary["test_accuracy"][0] > 0.3


WRONG = {
    "layers beside it": (["network.layers=[4, 12, 3]"], r"network\.layers: .*nothing beside network\.nir"),
    "neurons beside it": (["network.neuron={model: lif}"], r"network\.neuron: .*the file says it"),
    "delays beside it": (["network.delay_ms=2.0"], r"network\.delay_ms: .*the file says it"),
    "spread beside it": (["network.bias_spread=0.5"], r"network\.bias_spread: .*the file says it"),
    "unknown key": (["network.nri=1"], r"network\.nri: .*unknown key.*did you mean 'nir'"),
    "no file": (["network.nir=none.nir"], r"network\.nir: got '.*none\.nir'; allowed: a readable NIR file"),
    "a folder": (["network.nir=."], r"network\.nir: .*a readable NIR file"),
    "no text": (["network={nir: 3}"], r"network\.nir: got 3; allowed: a text"),
    "step": (["simulator.dt_ms=1.0"], r"simulator\.dt_ms: got 1\.0; allowed: 0\.5: network\.nir says it"),
    "rate": (["bridge.max_rate_hz=100.0"], r"bridge\.max_rate_hz: got 100\.0; allowed: 80"),
    "trace": (["bridge.readout_tau_ms=1.0"], r"bridge\.readout_tau_ms: got 1\.0; allowed: 30"),
    "task": (["task=digits"], r"network\.nir: .*chip-4\.nir with \[4, 12, 3\].*64 first: the task digits"),
    "checksum": (["network.sha256=ab"], r"network\.sha256: got 'ab'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_contradicts_the_file_is_refused_by_name(exported, tmp_path, case):
    overrides, said = WRONG[case]
    write_yaml(tmp_path / "config.yaml", from_file(exported / "programmed" / "chip-4.nir", "programmed", 4))
    with pytest.raises(InputError, match=said):
        load_experiment(str(tmp_path / "config.yaml"), overrides)


def test_the_command_says_it_and_writes_nothing(tmp_path):
    path = foreign(tmp_path / "foreign.nir", outputs=5)
    write_yaml(tmp_path / "config.yaml", from_file(path, "programmed", 0))
    words = ["--config", str(tmp_path / "config.yaml"), "--output", str(tmp_path / "run")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "3 last: the task yinyang has 3 outputs" in result.stderr
    assert not (tmp_path / "run").exists()


def test_the_command_says_what_readers_lose(exported, tmp_path):
    words = ["export", str(exported / "run"), "--output", str(tmp_path / "a")]
    said = CliRunner().invoke(app, words).stdout
    assert "chip-5.nir" in said
    assert "lost: refractory times (up to 2 ms)" in said
    assert (
        "Norse: norse.torch.from_nir(nir.read(FILE), dt=0.0005)\n  but it does not read the node Delay"
        in said
    )
    assert "  but its step is 0.1 ms" in said
    only = CliRunner().invoke(app, [*words, "--for", "snntorch"]).stdout
    assert "snnTorch: " in only
    assert "Norse" not in only
    assert "its step" not in only
    wrong = CliRunner().invoke(app, [*words, "--for", "nors"])
    assert wrong.exit_code == 2
    assert "--for: got 'nors'; allowed: portable, exact, norse, spikingjelly, snntorch" in wrong.stderr


def test_the_command_imports_what_another_program_wrote(tmp_path):
    path = foreign(tmp_path / "theirs.nir")
    result = CliRunner().invoke(app, ["import", str(path), "--solver", "euler", "--dt-ms", "0.5"])
    assert result.exit_code == 0, result.stderr
    assert "found: a NIR graph of another program: 2 Affine, 2 CubaLIF\n" in result.stdout
    assert "found: 4 inputs -> 12 cuba_lif -> 3 cuba_lif\n" in result.stdout
    assert "lost or guessed: whether a reset subtracts the threshold" in result.stdout
    config = tmp_path / "theirs.yaml"
    assert read_yaml(config)["network"] == {"nir": "theirs.nir", "solver": "euler"}
    experiment = load_experiment(str(config), ["task.train_samples=40"])
    assert experiment.build_network().sizes == (4, 12, 3)
    assert float(experiment.build_mismatch().neurons[0]["tau_m_ms"][0]) == pytest.approx(19.749, abs=1e-3)
    again = CliRunner().invoke(app, ["import", str(path)])
    assert again.exit_code == 2
    assert "a file that is not there yet" in again.stderr
    own = tmp_path / "own.yaml"
    sizes = CliRunner().invoke(app, ["import", str(foreign(path, outputs=5)), "--output", str(own)])
    assert "say your data in its section task: 4 inputs and 5 outputs" in sizes.stdout


def test_an_import_of_ours_has_its_clock_and_no_options(exported, tmp_path):
    words = ["import", str(exported / "effective" / "chip-4.nir"), "--output", str(tmp_path / "a.yaml")]
    result = CliRunner().invoke(app, words)
    assert "found: a chip of spiketrain" in result.stdout
    assert "lost" not in result.stdout
    assert load_experiment(str(tmp_path / "a.yaml")).build_network().dt_ms == 0.5
    for more, said in (
        (["--solver", "euler"], "network.solver: got 'euler'; allowed: exponential (the default)"),
        (["--dt-ms", "2"], "--dt-ms: got 2.0; allowed: 0.5, which the file says"),
        (["--reset", "substract"], "--reset: got 'substract'"),
    ):
        wrong = CliRunner().invoke(app, [*words[:-1], str(tmp_path / "b.yaml"), *more])
        assert wrong.exit_code == 2
        assert said in wrong.stderr
        assert not (tmp_path / "b.yaml").exists()


def test_an_effective_export_cannot_hold_delays_of_single_synapses(exported, tmp_path):
    config = {**CONFIG, "mismatch": {"chips": 1, "delay": {"distribution": "normal", "cv": 0.4}}}
    run(Experiment.from_mapping({"name": "late", **config}), tmp_path / "run", quiet=True, report=False)
    assert len(export_nir(tmp_path / "run", tmp_path / "a").paths) == 1
    with pytest.raises(InputError, match=r"mismatch\.delay: .*one delay"):
        export_nir(tmp_path / "run", tmp_path / "b", effective=True)


CONVOLUTION = {
    "network": {
        "input": [2, 2],
        "populations": {"maps": {"bias_spread": 0.3}, "output": {"size": 3}},
        "connections": {
            "look": {
                "pre": "input",
                "post": "maps",
                "kind": "conv2d",
                "channels": 3,
                "kernel": 2,
                "padding": 1,
            },
            "decide": {"pre": "maps", "post": "output", "delay_ms": 1.0},
            "again": {"pre": "maps", "post": "maps", "kind": "recurrent", "weight_gain": 0.3},
        },
        "neuron": {"model": "lif", "bias": 1.0},
    },
    "mismatch": {
        "chips": 2,
        "seed": 3,
        "first_chip": 4,
        **{n: DEVIATING[n] for n in ("threshold", "weight")},
    },
    "rule": {"name": "readout_only"},
}


def test_connections_of_every_kind_are_exported_as_matrices(tmp_path):
    """What the synapses of a kernel became on a chip, one by one, in a file that every program reads."""
    run(
        Experiment.from_mapping({"name": "conv", **CONFIG, **CONVOLUTION}),
        tmp_path / "run",
        quiet=True,
        report=False,
    )
    paths = export_nir(tmp_path / "run", tmp_path / "effective", effective=True).paths
    (parts,) = (build(Experiment.from_mapping(from_file(path, "effective", 5)), None) for path in paths[1:])
    assert parts.model.network.dense
    original = read_run(tmp_path / "run", "1", None).parts("torch")
    for ours, theirs in zip(spikes(parts), spikes(original), strict=True):
        assert ours.sum() > 50
        assert torch.equal(ours, theirs)
    synapses = original.model.network.synapses[0]
    programmed = read_run(tmp_path / "run", "1", None).weights["forward.look"]
    export_nir(tmp_path / "run", tmp_path / "programmed")
    matrix = reference.read(tmp_path / "programmed" / "chip-5.nir").nodes["connection_0"].metadata["weight"]
    wanted = synapses.matrix(synapses.physical(programmed[-1:]))[0].T
    assert np.allclose(np.array(matrix), wanted.numpy())
