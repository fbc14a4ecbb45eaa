"""Folders of runs that were damaged, or made by somebody else: refused by file and key, nothing written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile import CONFIG, refused
from typer.testing import CliRunner

from spiketrain.cli import app
from spiketrain.config import Experiment
from spiketrain.experiment import run
from spiketrain.record.files import (
    digest,
    read_json,
    read_tensors,
    read_yaml,
    write_json,
    write_tensors,
    write_yaml,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    run(Experiment.from_mapping({"name": "small", **CONFIG}), folder, quiet=True, report=False)
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def text(name: str, content: str | bytes) -> Callable[[Path], Any]:
    """Return what replaces a file's content."""
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def config(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], Any]:
    """Return what changes a stored config."""

    def changed(folder: Path) -> None:
        data = read_yaml(folder / "config.yaml")
        change(data)
        write_yaml(folder / "config.yaml", data)

    return changed


def metrics(old: str, new: str) -> Callable[[Path], Any]:
    """Return what changes a line of the metrics."""

    def changed(folder: Path) -> None:
        content = (folder / "metrics.csv").read_text()
        assert old in content
        (folder / "metrics.csv").write_text(content.replace(old, new, 1))

    return changed


def tensors(name: str, change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], Any]:
    """Return what changes stored tensors."""

    def changed(folder: Path) -> None:
        found, note = read_tensors(folder / name)
        change(found)
        write_tensors(folder / name, found, note)

    return changed


def checkpoint(
    change: Callable[[dict[str, torch.Tensor], dict[str, Any]], Any], *, signed: bool = True
) -> Callable[[Path], Any]:
    """Return what makes another checkpoint, whose checksum is right: of somebody who means harm."""

    def changed(folder: Path) -> None:
        found, note = read_tensors(folder / "checkpoint.safetensors")
        del note["sha256"]
        change(found, note)
        known = {"sha256": digest(found, note)} if signed else {}
        write_tensors(folder / "checkpoint.safetensors", found, {**note, **known})

    return changed


def unlink(*names: str) -> Callable[[Path], Any]:
    return lambda folder: [(folder / name).unlink() for name in names]


def instead(name: str, make: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Return what puts something that is no file in a file's place."""
    return lambda folder: ((folder / name).unlink(), make(folder / name))


def nan_weights(found: dict[str, torch.Tensor], note: dict[str, Any]) -> None:
    for value in found.values():
        if value.is_floating_point() and value.shape == (2, 4, 6):
            value[1] = torch.nan


def halved(found: dict[str, torch.Tensor], note: dict[str, Any]) -> None:
    for name, value in found.items():
        if value.dim() > 1:
            found[name] = value[:, :1].clone()


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)

SHARED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "config: an alias bomb": (text("config.yaml", BOMB), "config.yaml: got 'more than 10000 values"),
    "config: empty": (text("config.yaml", ""), "config.yaml"),
    "config: a list": (text("config.yaml", "- 1\n"), "config.yaml: got [1]"),
    "config: no YAML": (text("config.yaml", "a: [1"), "config.yaml"),
    "config: a tag": (text("config.yaml", "a: !!python/name:os.system\n"), "config.yaml"),
    "config: binary": (text("config.yaml", bytes(range(256))), "config.yaml"),
    "config: megabytes": (text("config.yaml", "a: " + "x" * 3_000_000), "config.yaml"),
    "config: a pipe": (instead("config.yaml", os.mkfifo), "config.yaml"),
    "config: a folder": (instead("config.yaml", Path.mkdir), "config.yaml"),
    "config: a section missing": (config(lambda c: c.pop("network")), "network"),
    "config: a text for a section": (config(lambda c: c.update(mismatch="x")), "mismatch"),
    "config: a wrong value": (config(lambda c: c["network"].update(layers=[4, -6, 3])), "network.layers.1"),
    "config: an unknown key": (config(lambda c: c["network"].update(lairs=3)), "network.lairs"),
}
"""What both going on and exporting look at."""

RESUMED: dict[str, tuple[Callable[[Path], Any], str]] = {
    **SHARED,
    "config: another value": (config(lambda c: c["mismatch"].update(seed=7)), "mismatch.seed"),
    "checkpoint: missing": (unlink("checkpoint.safetensors"), "got 'nothing'; allowed: the run's checkpoint"),
    "checkpoint: missing, note too": (
        unlink("checkpoint.safetensors", "checkpoint.json"),
        "There is weights.safetensors",
    ),
    "checkpoint: missing, all but the metrics": (
        unlink(
            *("checkpoint.safetensors", "checkpoint.json", "weights.safetensors"),
            *("truth.safetensors", "summary.json"),
        ),
        "There is epoch 2 in metrics.csv",
    ),
    "checkpoint: a folder": (instead("checkpoint.safetensors", Path.mkdir), "It is a folder"),
    "checkpoint: a pipe": (instead("checkpoint.safetensors", os.mkfifo), "It is a pipe"),
    "checkpoint: a link to nowhere": (
        instead("checkpoint.safetensors", lambda path: path.symlink_to("nowhere")),
        "checkpoint.safetensors",
    ),
    "checkpoint: empty": (text("checkpoint.safetensors", ""), "a whole safetensors file"),
    "checkpoint: cut short": (
        lambda folder: os.truncate(folder / "checkpoint.safetensors", 5000),
        "a whole safetensors file",
    ),
    "checkpoint: weights of NaN": (checkpoint(nan_weights), "weights of chip 1 that are not finite"),
    "checkpoint: weights of NaN, of old": (checkpoint(nan_weights, signed=False), "weights of chip 1"),
    "checkpoint: other shapes": (checkpoint(halved), "a state of something else"),
    "checkpoint: a tensor lost": (checkpoint(lambda t, n: t.pop(min(t))), "a state of something else"),
    "checkpoint: the billionth epoch": (checkpoint(lambda t, n: n.update(epoch=10**9)), "got 1000000000"),
    "checkpoint: a negative epoch": (checkpoint(lambda t, n: n.update(epoch=-1)), "got -1"),
    "checkpoint: half an epoch": (checkpoint(lambda t, n: n.update(epoch=1.5)), "got 1.5"),
    "checkpoint: an epoch in words": (checkpoint(lambda t, n: n.update(epoch="two")), "got 'two'"),
    "checkpoint: true for an epoch": (checkpoint(lambda t, n: n.update(epoch=True)), "got True"),
    "checkpoint: no state": (checkpoint(lambda t, n: n.update(extra={})), "a state of something else"),
    "checkpoint: nothing for a state": (checkpoint(lambda t, n: n.update(extra=None)), "something else"),
    "checkpoint: an empty state": (
        checkpoint(lambda t, n: n.update(extra={"state": {"dict": []}})),
        "something else",
    ),
    "checkpoint: a state of a new kind": (
        checkpoint(lambda t, n: n.update(extra={"state": {"call": "os.system"}})),
        "something else",
    ),
    "checkpoint: no note": (
        lambda folder: write_tensors(folder / "checkpoint.safetensors", {"w": torch.ones(2)}),
        "the note in its header",
    ),
    "checkpoint: a list for a note": (
        lambda folder: write_tensors(folder / "checkpoint.safetensors", {"w": torch.ones(2)}, [1, 2]),
        "the note in its header",
    ),
    "checkpoint: another run's": (
        lambda folder: write_tensors(
            folder / "checkpoint.safetensors", {}, {"epoch": 1, "extra": {"state": 3}}
        ),
        "a state of something else",
    ),
    "metrics: missing": (unlink("metrics.csv"), "metrics.csv"),
    "metrics: empty": (text("metrics.csv", ""), "metrics.csv: epoch"),
    "metrics: binary": (text("metrics.csv", b"\xff\xfe\0"), "metrics.csv"),
    "metrics: no such column": (metrics("epoch,", "epok,"), "metrics.csv: epoch"),
    "metrics: a word for an epoch": (metrics("\n1,0,", "\none,0,"), "metrics.csv: epoch in line"),
    "metrics: a word for a number": (metrics("\n1,0,", "\n1,0,x"), "metrics.csv: "),
    "metrics: a chip that is not there": (metrics("\n1,1,", "\n1,7,"), "metrics.csv: chip in line"),
    "metrics: a chip twice": (metrics("\n1,1,", "\n1,0,"), "metrics.csv: chip in line"),
    "metrics: an epoch missing": (metrics("\n1,", "\n9,"), "metrics.csv: "),
    "metrics: half a row": (metrics("\n1,1,", "\n1\n1,1,"), "metrics.csv: line"),
    "metrics: a cell without an end": (metrics("\n1,1,", '\n"1,1,'), "metrics.csv"),
    "metrics: a pipe": (instead("metrics.csv", os.mkfifo), "metrics.csv"),
    "initial weights: cut short": (
        lambda folder: os.truncate(folder / "initial_weights.safetensors", 300),
        "initial_weights.safetensors",
    ),
    "initial weights: of another network": (
        tensors(
            "initial_weights.safetensors", lambda t: t.update({"forward.input->hidden": torch.ones(2, 3, 3)})
        ),
        "initial_weights.safetensors: forward.input->hidden",
    ),
    "lock: a pipe": (lambda folder: ((folder / ".lock").unlink(), os.mkfifo(folder / ".lock")), ".lock"),
    "lock: a link": (
        lambda folder: ((folder / ".lock").unlink(), (folder / ".lock").symlink_to(folder / "summary.json")),
        "resume",
    ),
}

EXPORTED: dict[str, tuple[Callable[[Path], Any], str]] = {
    **SHARED,
    "no summary": (unlink("summary.json"), "There is no summary.json"),
    "summary: empty": (text("summary.json", ""), "summary.json"),
    "summary: a number": (text("summary.json", "3"), "summary.json: test_accuracy"),
    "summary: very deep": (text("summary.json", "[" * 100_000), "summary.json"),
    "summary: a chip too few": (
        lambda folder: write_json(folder / "summary.json", {"test_accuracy": [0.5]}),
        "summary.json: test_accuracy",
    ),
    "summary: words": (
        lambda folder: write_json(folder / "summary.json", {"test_accuracy": ["good", "bad"]}),
        "summary.json: test_accuracy",
    ),
    "weights: empty": (text("weights.safetensors", ""), "weights.safetensors"),
    "weights: one missing": (
        tensors("weights.safetensors", lambda t: t.pop("forward.hidden->output")),
        "weights.safetensors: forward.hidden->output: got 'nothing'",
    ),
    "weights: of another shape": (
        tensors(
            "weights.safetensors",
            lambda t: t.update({"forward.hidden->output": torch.ones(2, 6, 4).double()}),
        ),
        "weights.safetensors: forward.hidden->output",
    ),
    "weights: of another type": (
        tensors("weights.safetensors", lambda t: t.update({"bias.hidden": t["bias.hidden"].int()})),
        "weights.safetensors: bias.hidden: got 'torch.int32",
    ),
    "weights: NaN of a chip that is not named": (
        tensors("weights.safetensors", lambda t: t["forward.input->hidden"][1].fill_(torch.nan)),
        "weights of chip 1 that are not finite",
    ),
    "more chips than weights": (
        config(lambda c: c["mismatch"].update(chips=3)),
        "summary.json: test_accuracy",
    ),
    "a word for a number of chips": (config(lambda c: c["mismatch"].update(chips="x")), "mismatch.chips"),
    "a huge number of chips": (config(lambda c: c["mismatch"].update(chips=10**12)), "test_accuracy"),
}


@pytest.mark.parametrize("case", RESUMED)
def test_a_resume(case: str, copy: Path) -> None:
    spoil, words = RESUMED[case]
    (copy.parent / "x.yaml").write_text(json.dumps(CONFIG))
    spoil(copy)
    own = case.startswith("config: ") and case not in ("config: another value",)
    source = [] if own else ["--config", str(copy.parent / "x.yaml"), "--set", "name=small"]
    refused(copy, ["-q", "--resume", "--output", str(copy), *source], words)


@pytest.mark.parametrize("case", EXPORTED)
def test_an_export(case: str, copy: Path) -> None:
    spoil, words = EXPORTED[case]
    spoil(copy)
    refused(copy, ["export", str(copy)], words)


def in_state(*path: str | int, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], Any]:
    """Return what changes the tensors below one place of a checkpoint's state."""

    def inside(place: Any) -> set[str]:
        if not isinstance(place, dict):
            return set()
        ((kind, content),) = place.items()
        if kind == "tensor":
            return {content}
        values = [value for _, value in content] if kind == "dict" else content
        return set().union(*map(inside, values)) if kind in ("dict", "list", "tuple") else set()

    def changed(found: dict[str, torch.Tensor], note: dict[str, Any]) -> None:
        place = note["extra"]["state"]
        for step in path:
            place = next(value for key, value in place["dict"] if key == step)
        names = inside(place)
        assert names
        for name in names:
            found[name] = change(found[name]).clone()

    return checkpoint(changed)


STATES: dict[str, tuple[dict[str, Any], Callable[[Path], Any]]] = {
    "moments of another shape": ({}, in_state("optimizer", "state", change=lambda t: t[:1] if t.ndim else t)),
    "means of another shape": (
        {"optimizer": "nlms"},
        in_state("optimizer", "means", change=lambda t: t[:, :2]),
    ),
    "feedback of another shape": (
        {"rule": "feedback_alignment"},
        in_state("memory", change=lambda t: t[..., :-1]),
    ),
    "a memory lost": (
        {"rule": {"name": "dfc", "feedback": "identified"}},
        in_state("memory", change=lambda t: t.flatten()[:1]),
    ),
}


@pytest.mark.parametrize("case", STATES)
def test_a_state_with_which_training_cannot_go_on(case: str, tmp_path: Path) -> None:
    """A right checksum, the right names, and tensors that the first step of training would fail at."""
    changed, spoil = STATES[case]
    own = {**CONFIG, "rule": changed.get("rule", CONFIG["rule"])}
    own["training"] = {**CONFIG["training"], "epochs": 1, "optimizer": changed.get("optimizer", "adam")}
    folder = tmp_path / "run"
    run(Experiment.from_mapping({"name": "small", **own}), folder, quiet=True, report=False)
    more = ["-q", "--resume", "--output", str(folder), "--set", "training.epochs=2"]
    shutil.copytree(folder, tmp_path / "right")
    spoil(folder)
    refused(folder, more, "a state of something else")
    result = CliRunner().invoke(app, [*more[:3], str(tmp_path / "right"), *more[4:]])
    assert result.exit_code == 0, result.output


def test_an_effective_export_looks_at_the_truth(copy: Path) -> None:
    tensors("truth.safetensors", lambda t: t.pop("weight.1"))(copy)
    refused(copy, ["export", "--effective", str(copy)], "truth.safetensors: weight.1: got 'nothing'")


def test_what_was_not_touched_goes_on_and_is_exported(copy: Path) -> None:
    result = CliRunner().invoke(app, ["-q", "--resume", "--output", str(copy), "--set", "training.epochs=3"])
    assert result.exit_code == 0, result.output
    assert read_json(copy / "summary.json")["epochs"] == 3
    assert CliRunner().invoke(app, ["export", str(copy)]).exit_code == 0
    assert len(list((copy / "export").glob("*.nir"))) == 2


def test_what_killed_writers_left_is_removed(copy: Path) -> None:
    """In the folder and among its figures, as a kill within the report leaves them."""
    (copy / "figures").mkdir()
    left = [copy / ".metrics.csv.77.tmp", copy / "figures" / ".outputs.svg.77.tmp"]
    for path in left:
        path.write_text("half")
    result = CliRunner().invoke(app, ["-q", "--resume", "--output", str(copy)])
    assert result.exit_code == 0, result.output
    assert not [path for path in left if path.exists()]
    assert list((copy / "figures").glob("*.svg"))


def test_a_chip_whose_tested_weights_are_lost_is_named(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a checkpoint of old, in which only the average is not finite: no accuracy without a name."""

    def spoilt(found: dict[str, torch.Tensor], note: dict[str, Any]) -> None:
        names = dict(note["extra"]["state"]["dict"])["average"]["dict"]
        for _, tensor in names:
            value = found[tensor["tensor"]]
            if value.is_floating_point() and value.dim() > 1:
                value[0] = torch.nan

    checkpoint(spoilt, signed=False)(copy)
    result = CliRunner().invoke(app, ["-q", "--resume", "--output", str(copy)])
    assert result.exit_code == 0, result.output
    assert "not finite" in read_json(copy / "summary.json")["diverged_chips"]["0"]
