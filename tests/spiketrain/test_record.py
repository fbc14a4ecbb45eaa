"""The run directory survives kills, refuses what it must, and gives back the same bits."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from root.errors import DamagedError, InputError
from spiketrain.record import SUMMARY, RunRecord, provenance
from spiketrain.record.files import (
    plain,
    read_json,
    read_tensors,
    read_yaml,
    write_bytes,
    write_json,
    write_tensors,
    write_yaml,
)
from spiking.presentation import Recording

CONFIG = {
    "task": {"name": "digits"},
    "bridge": {"max_rate_hz": 200.0},
    "network": {"layers": (4, 3, 2), "gain": 1e-05},
    "training": {"epochs": 3, "learning_rate": 0.1},
}
IDENTITY = {
    "task": "digits",
    "rule": "dfc",
    "arm": "in_the_loop",
    "simulator": "torch",
    "neuron": "lif",
    "layers": [4, 3, 2],
    "chips": 2,
    "mismatch": {"threshold": 0.2},
    "seed": 0,
    "epochs": 3,
}
ENDLESSLY = CONFIG | {"training": CONFIG["training"] | {"epochs": 10**6}}
RESULT = {"test_accuracy": [0.9, 0.7], "train_samples_per_second": 10.0, "seconds": 1.5}


def recording(rate: Tensor, control: Tensor | None, batch: int) -> Recording:
    rates = rate.view(-1, 1, 1).expand(-1, batch, 3)
    u = None if control is None else control.view(-1, 1, 1).expand(-1, batch, 2)
    return Recording(rates=(rates[:1], rates), basal=(), control=u, readout=rates[..., :2])


def rows(directory: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((directory / "metrics.csv").read_text())))


def state(epoch: int) -> dict[str, Tensor]:
    return {"w": torch.full((300, 100), float(epoch), dtype=torch.float64)}


def run(record: RunRecord, first: int, last: int) -> None:
    for epoch in range(first, last + 1):
        record.epoch(epoch, {"validation_accuracy": torch.tensor([epoch / 10, epoch / 7])})
        record.checkpoint(epoch, state(epoch), {"epoch_again": epoch})


# --- directory ---------------------------------------------------------------------------------


def test_a_new_run_keeps_its_configuration(tmp_path: Path) -> None:
    with RunRecord.create(tmp_path / "a" / "b", CONFIG, IDENTITY) as record:
        assert read_yaml(tmp_path / "a" / "b" / "config.yaml") == plain(CONFIG)
        assert record.load_checkpoint() is None


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match=r"output.*letter\.txt"):
        RunRecord.create(tmp_path, CONFIG, IDENTITY)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    RunRecord.create(tmp_path, CONFIG, IDENTITY).close()
    with pytest.raises(InputError, match="--resume"):
        RunRecord.create(tmp_path, CONFIG, IDENTITY)


@pytest.mark.parametrize("name", ["file", "file/below", "/proc/spiketrain-run"])
def test_an_unwritable_output_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="output: got"):
        RunRecord.create(tmp_path / name, CONFIG, IDENTITY)


def test_two_runs_cannot_share_a_folder(tmp_path: Path) -> None:
    record = RunRecord.create(tmp_path, CONFIG, IDENTITY)
    script = (
        "import sys, json; from pathlib import Path; from spiketrain.record import RunRecord\n"
        "RunRecord.resume(Path(sys.argv[1]), json.loads(sys.argv[2]), {'chips': 2})"
    )
    other = [sys.executable, "-c", script, str(tmp_path), json.dumps(CONFIG)]
    refused = subprocess.run(other, capture_output=True, text=True, check=False)
    assert "no other run is writing" in refused.stderr
    with pytest.raises(InputError, match="no other run"):
        RunRecord.create(tmp_path, CONFIG, IDENTITY)
    record.close()
    assert subprocess.run(other, capture_output=True, check=False).returncode == 0


# --- resume ------------------------------------------------------------------------------------


def test_resume_forgets_the_epochs_after_the_checkpoint(tmp_path: Path) -> None:
    with RunRecord.create(tmp_path / "whole", CONFIG, IDENTITY) as record:
        run(record, 1, 3)
    with RunRecord.create(tmp_path / "broken", CONFIG, IDENTITY) as record:
        run(record, 1, 2)
        record.epoch(3, {"validation_accuracy": 0.0})
    with RunRecord.resume(tmp_path / "broken", CONFIG, IDENTITY) as record:
        loaded = record.load_checkpoint()
        assert loaded is not None
        epoch, tensors, extra = loaded
        assert (epoch, extra) == (2, {"epoch_again": 2})
        assert torch.equal(tensors["w"], state(2)["w"])
        run(record, 3, 3)
    keep = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in rows(tmp_path / name)]
        for name in ("whole", "broken")
    ]
    assert keep[0] == keep[1]
    assert len(keep[0]) == 6


def test_resume_may_make_a_run_longer(tmp_path: Path) -> None:
    RunRecord.create(tmp_path, CONFIG, IDENTITY).close()
    longer = CONFIG | {"training": CONFIG["training"] | {"epochs": 9}}
    RunRecord.resume(tmp_path, longer, IDENTITY).close()
    assert read_yaml(tmp_path / "config.yaml")["training"]["epochs"] == 9


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"training": {"epochs": 3, "learning_rate": 0.2}}, r"training\.learning_rate: got 0\.2"),
        ({"network": {"layers": [4, 5, 2], "gain": 1e-05}}, r"network\.layers"),
        ({"rule": {"name": "dfc"}}, r"rule"),
    ],
)
def test_resume_names_the_key_that_differs(tmp_path: Path, change: dict[str, object], key: str) -> None:
    RunRecord.create(tmp_path, CONFIG, IDENTITY).close()
    before = (tmp_path / "config.yaml").read_bytes()
    with pytest.raises(InputError, match=key):
        RunRecord.resume(tmp_path, CONFIG | change, IDENTITY)
    assert (tmp_path / "config.yaml").read_bytes() == before


def test_resume_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="resume"):
        RunRecord.resume(tmp_path, CONFIG, IDENTITY)
    with pytest.raises(InputError, match="resume"):
        RunRecord.resume(tmp_path / "nowhere", CONFIG, IDENTITY)
    assert list(tmp_path.iterdir()) == []


def test_a_run_killed_before_its_first_file_starts_anew(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".config.yaml.77.tmp").write_text("half")
    RunRecord.resume(tmp_path, CONFIG, IDENTITY).close()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "config.yaml"]


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    with RunRecord.create(tmp_path, CONFIG, IDENTITY) as record:
        run(record, 1, 1)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DamagedError, match=r"checkpoint\.safetensors: .*a whole safetensors file"):
        RunRecord.resume(tmp_path, CONFIG, IDENTITY)


def test_a_checkpoint_is_known_by_its_content(tmp_path: Path) -> None:
    """Other numbers, another epoch or another note under the same checksum; a run of old has none."""
    with RunRecord.create(tmp_path, CONFIG, IDENTITY) as record:
        run(record, 1, 2)
    path = tmp_path / "checkpoint.safetensors"
    tensors, note = read_tensors(path)
    for changed, about in (
        (state(3), note),
        (tensors | {"w": tensors["w"].float()}, note),
        ({}, note),
        (tensors, note | {"epoch": 1}),
        (tensors, note | {"extra": {"epoch_again": 1}}),
    ):
        write_tensors(path, changed, about)
        with pytest.raises(DamagedError, match=r"checkpoint\.safetensors: sha256: .*It was changed"):
            RunRecord.resume(tmp_path, CONFIG, IDENTITY)
    del note["sha256"]
    write_tensors(path, tensors, note)
    RunRecord.resume(tmp_path, CONFIG, IDENTITY).close()


def test_a_run_is_not_made_shorter_than_it_is(tmp_path: Path) -> None:
    with RunRecord.create(tmp_path, CONFIG, IDENTITY) as record:
        run(record, 1, 3)
    before = (tmp_path / "config.yaml").read_bytes()
    shorter = CONFIG | {"training": CONFIG["training"] | {"epochs": 2}}
    with pytest.raises(InputError, match=r"training\.epochs: got 2; allowed: 3 or more"):
        RunRecord.resume(tmp_path, shorter, IDENTITY)
    assert (tmp_path / "config.yaml").read_bytes() == before


ENDLESS = """
import sys
from pathlib import Path
from test_record import ENDLESSLY, IDENTITY, run
from spiketrain.record import RunRecord
directory = Path(sys.argv[1])
record = RunRecord.resume(directory, ENDLESSLY, IDENTITY)
done = record.load_checkpoint()
print("ready", flush=True)
run(record, done[0] + 1 if done else 1, 10**6)
"""


def test_a_kill_at_any_moment_leaves_a_whole_run(tmp_path: Path) -> None:
    RunRecord.create(tmp_path, ENDLESSLY, IDENTITY).close()
    moments = random.Random(0)
    last = 0
    for _ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", ENDLESS, str(tmp_path)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(moments.uniform(0.0, 0.15))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        with RunRecord.resume(tmp_path, ENDLESSLY, IDENTITY) as record:
            loaded = record.load_checkpoint()
        assert not list(tmp_path.glob(".*.tmp"))
        if loaded is None:
            continue
        epoch, tensors, extra = loaded
        assert epoch >= last
        assert extra == {"epoch_again": epoch}
        assert torch.equal(tensors["w"], state(epoch)["w"])
        assert read_json(tmp_path / "checkpoint.json")["epoch"] == epoch
        epochs = [int(row["epoch"]) for row in rows(tmp_path)]
        assert epochs[: 2 * epoch] == [e for e in range(1, epoch + 1) for _ in range(2)]
        last = epoch
    assert last > 0


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


# --- metrics -----------------------------------------------------------------------------------


def test_means_are_over_samples_and_in_hz(tmp_path: Path) -> None:
    with RunRecord.create(tmp_path, CONFIG, IDENTITY) as record:
        for batch, error, rate, u in ((30, 0.1, 0.5, 1.0), (10, 0.5, 0.1, 3.0)):
            values = torch.tensor([1.0, 2.0], dtype=torch.float64)
            record.batch(
                error * values,
                {"alignment": values},
                {
                    "free": recording(rate * values, None, batch),
                    "controlled": recording(values, u * values, batch),
                },
            )
        record.epoch(1, {"test_accuracy": torch.tensor([0.25, float("nan")]), "learning_rate": 0.1})
        record.epoch(2, {"test_accuracy": 0.5, "seconds": 7.0})
    first, second, *later = rows(tmp_path)
    assert (first["epoch"], first["chip"], second["chip"]) == ("1", "0", "1")
    assert float(second["output_error"]) == pytest.approx(2 * (30 * 0.1 + 10 * 0.5) / 40)
    assert float(first["control_effort"]) == pytest.approx(((30 * 1 + 10 * 9) / 40) ** 0.5)
    assert float(second["rate_free_1_hz"]) == pytest.approx(200 * 2 * (30 * 0.5 + 10 * 0.1) / 40)
    assert float(first["alignment"]) == 1.0
    assert (first["test_accuracy"], second["test_accuracy"]) == ("0.25", "")
    assert float(first["seconds"]) > 0
    assert later[0]["seconds"] == "7.0"
    assert later[0]["output_error"] == ""  # nothing of the first epoch is left


# --- results -----------------------------------------------------------------------------------


def test_the_summary_has_its_fields_in_order_and_no_nan(tmp_path: Path) -> None:
    result = RESULT | {"test_accuracy": torch.tensor([0.9, float("nan")]), "diverged_chips": {"1": "NaN"}}
    with RunRecord.create(tmp_path, CONFIG, IDENTITY) as record:
        record.finish(result, state(1), {"neuron.1.threshold": torch.ones(2, 3)})
    summary = read_json(tmp_path / "summary.json")
    assert tuple(summary) == SUMMARY
    assert summary["test_accuracy"] == [0.9, None] or summary["test_accuracy"][1] is None
    assert summary["test_accuracy_mean"] is None
    assert summary["diverged_chips"] == {"1": "NaN"}
    assert torch.equal(read_tensors(tmp_path / "weights.safetensors")[0]["w"], state(1)["w"])
    assert "neuron.1.threshold" in read_tensors(tmp_path / "truth.safetensors")[0]


def test_mean_and_minimum_are_of_the_chips(tmp_path: Path) -> None:
    with RunRecord.create(tmp_path, CONFIG, IDENTITY) as record:
        summary = record.finish(RESULT, state(1), {})
    assert summary["test_accuracy_mean"] == pytest.approx(0.8)
    assert summary["test_accuracy_min"] == 0.7
    assert summary["diverged_chips"] == {}


def test_provenance_names_versions_and_commit() -> None:
    found = provenance()
    assert found["versions"]["torch"] == torch.__version__
    assert found["versions"]["python"].startswith("3.")
    assert found["git"] is None or len(found["git"].removesuffix("-dirty")) == 40


def test_json_and_yaml_take_what_python_has(tmp_path: Path) -> None:
    content = {
        "path": Path("a/b"),
        "t": (1, 2.5),
        "nan": float("nan"),
        "n": torch.tensor([1.0, 2.0]),
        3: None,
    }
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == {
        "path": "a/b",
        "t": [1, 2.5],
        "nan": None,
        "n": [1, 2],
        "3": None,
    }
    write_yaml(tmp_path / "a.yaml", {"x": 1e-05, "y": float("inf"), "z": "ä: b"})
    assert read_yaml(tmp_path / "a.yaml") == {"x": 1e-05, "y": float("inf"), "z": "ä: b"}
