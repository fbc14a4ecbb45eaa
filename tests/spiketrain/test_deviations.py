"""What each chip drew, against the truth that the chips reveal; and a reference, against a run of its own."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
import torch

import spiketrain as st
from mismatch.distributions import Normal
from mismatch.imperfections.faults import Faults
from mismatch.spec import MismatchSpec
from root.errors import InputError
from spiketrain.deviations import deviations, table
from spiketrain.record.files import tensors_of
from spiking.network import chain
from spiking.neurons.lif import LIF

SPEC = MismatchSpec(
    chips=3,
    seed=4,
    deviations={"threshold": Normal(cv=0.2), "weight": Normal(cv=0.1)},
    imperfections={"faults": Faults(dead=0.1, stuck_zero=0.05)},
)

CONFIG = {
    "network": {"layers": [6, 12, 3], "neuron": {"model": "lif", "bias": 1.0}},
    "mismatch": {
        "chips": 2,
        "threshold": {"distribution": "normal", "cv": 0.2},
        "tau_m": {"distribution": "normal", "cv": 0.1},
    },
    "rule": "readout_only",
    "simulator": {"name": "torch", "presentation_ms": 20, "window_ms": 10},
    "training": {"epochs": 2, "batch": 10, "learning_rate": 1.0},
    "analysis": {"reference": True},
}


def test_statistics_are_those_of_the_devices_that_work() -> None:
    network = chain([30, 400, 5], LIF(threshold=0.5))
    rows = {(row.quantity, row.place, row.chip): row for row in deviations(network, SPEC)}
    assert {key[:2] for key in rows} >= {("threshold", "hidden"), ("weight", "input->hidden")}
    threshold, weight = rows["threshold", "hidden", 1], rows["weight", "input->hidden", 1]
    assert threshold.kind == weight.kind == "relative"
    assert threshold.std == pytest.approx(0.2, abs=0.03)
    assert threshold.lost == pytest.approx(0.1, abs=0.05)
    assert threshold.high < 1.0  # a dead neuron's threshold of a thousand is no deviation
    assert weight.std == pytest.approx(0.1, abs=0.005)
    assert weight.lost == pytest.approx(0.05, abs=0.01)
    assert rows["threshold", "hidden", 0].mean != threshold.mean
    assert threshold.devices == 400


def test_no_mismatch_no_rows_and_zero_designs_in_their_unit() -> None:
    network = chain([4, 6, 2], LIF())
    assert deviations(network, MismatchSpec()) == []
    offset = MismatchSpec(chips=2, deviations={"readout_offset": Normal(cv=0.05)})
    (first, second) = deviations(network, offset)
    assert (first.quantity, first.place, first.kind) == ("readout offset", "controller", "absolute")
    assert first.mean != second.mean
    assert len(list(csv.DictReader(io.StringIO(table([first, second]).decode())))) == 2


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    numbers = np.random.default_rng(0)
    return numbers.random((60, 6)), np.arange(60) % 3


@pytest.fixture(scope="module")
def run(data: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> st.Run:
    return st.load(CONFIG).fit(*data, folder=tmp_path_factory.mktemp("runs") / "run")


def test_a_run_keeps_what_its_chips_drew(run: st.Run) -> None:
    assert run.folder is not None
    drew = pd.read_csv(run.folder / "chips.csv")
    truth, _ = tensors_of((run.folder / "truth.safetensors").read_bytes(), "truth")
    hidden = truth["neuron.1.threshold"]
    for chip in (0, 1):
        row = drew[(drew["chip"] == chip) & (drew["quantity"] == "threshold") & (drew["place"] == "hidden")]
        assert row["mean"].item() == pytest.approx(float(hidden[chip].mean()) - 1.0)
        assert row["std"].item() == pytest.approx(float(hidden[chip].std(correction=0)))
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "What each chip drew" in page
    mean = 100 * float(torch.cat([truth[f"neuron.{i}.tau_m_ms"][0] for i in (1, 2)]).mean() / 20.0 - 1.0)
    assert f"{mean:+.1f} ±" in page


def test_the_reference_is_the_run_without_mismatch(
    run: st.Run, data: tuple[np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    ideal = {**CONFIG, "mismatch": {"chips": 1}, "analysis": {}}
    alone = st.load(ideal).fit(*data)
    assert run.reference is not None
    assert run.summary["reference"] == alone.accuracy.item()
    pd.testing.assert_series_equal(run.reference["test_accuracy"], alone.history["test_accuracy"])
    assert alone.reference is None
    drawn = run.plot().figure.axes[0]
    dashed = [line for line in drawn.get_lines() if line.get_linestyle() == "--" and len(line.get_xdata())]
    np.testing.assert_allclose(dashed[0].get_ydata(), 100 * alone.history["test_accuracy"])
    assert run.folder is not None
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "reference: the same network without mismatch" in page
    from spiketrain.outcome import show  # noqa: PLC0415 (what a terminal says)

    show(run.folder, run.summary)
    assert "the same network without mismatch" in capsys.readouterr().out


def test_data_have_a_checksum(run: st.Run, data: tuple[np.ndarray, np.ndarray]) -> None:
    assert run.folder is not None
    said = json.loads((run.folder / "summary.json").read_text())["data_sha256"]
    assert len(said) == 64
    assert said in (run.folder / "report.html").read_text(encoding="utf-8")
    x, y = data
    other = st.load({**CONFIG, "analysis": {}}).fit(np.where(x == x.max(), 0.0, x), y)
    assert other.summary["data_sha256"] != said


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mismatch": {"chips": 2}}, "its own reference"),
        ({"chips": {"at": "ipc:///tmp/nobody"}, "mismatch": {"chips": 2}}, "elsewhere"),
    ],
)
def test_a_reference_that_is_none_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        st.load({**CONFIG, **changes})
    assert caught.value.key == "analysis.reference"


def test_delays_deviate_from_the_design() -> None:
    network = chain([4, 6, 2], LIF(), delay_steps=5)
    rows = deviations(network, MismatchSpec(deviations={"delay": Normal(cv=0.5)}))
    assert {row.quantity for row in rows} == {"delay"}
    assert all(row.place in ("input->hidden", "hidden->output") for row in rows)
