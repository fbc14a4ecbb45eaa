"""What can be wrong with a card, and whole runs on a pretended one: NVIDIA's libraries are faked."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pretended_card import CARD, PretendedCard

import spiketrain as st
from root.errors import InputError, SimulationError, UnsupportedError
from spiketrain.config import load_experiment
from spiketrain.config.placing import check_device, check_room, placed
from spiketrain.experiment import run
from spiketrain.gain import speed
from spiketrain.losing import keep_order, lost_cards
from spiketrain.studies import cards as study_cards
from spiketrain.studies.plan import Plan
from spiketrain.studies.study import Study
from spiking.simulators.compiled import CompiledSimulator
from spiking.simulators.cuda import CudaSimulator, card

sys.path.insert(0, str(Path(__file__).parent))
from fake_driver import FakeDriver


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a fake driver in place of NVIDIA's."""

    def put(**options: Any) -> FakeDriver:
        made = FakeDriver(**options)
        monkeypatch.setattr(card, "driver", lambda: made)
        monkeypatch.setattr("spiketrain.config.placing.driver", lambda: made)
        monkeypatch.setattr(card, "torch_sees_it", lambda: True)
        monkeypatch.setattr(card, "_on", lambda index: nullcontext(0))
        return made

    return put


def missing(error: Exception) -> Any:
    def ask() -> Any:
        raise error

    return ask


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ImportError("No module named 'cuda'"), ["cuda-bindings", r"spiketrain\[cuda\]"]),
        (RuntimeError("libcuda.so.1"), ["no NVIDIA card", "libcuda"]),
        (card.CardError("CUDA_ERROR_NO_DEVICE"), ["no NVIDIA card", "CUDA_ERROR_NO_DEVICE"]),
    ],
)
def test_no_card(monkeypatch: pytest.MonkeyPatch, error: Exception, words: list[str]) -> None:
    monkeypatch.setattr(card, "driver", missing(error))
    assert card.cards() == 0
    works, reason = CudaSimulator.status()
    assert not works
    for word in words:
        with pytest.raises(InputError, match=word) as caught:
            CudaSimulator(device="cuda:0")
        assert caught.value.key == "simulator.device"
        assert caught.match(word)
        assert word.replace("\\", "") in reason


def test_a_driver_that_is_too_old(fake: Any) -> None:
    fake(version=11040)
    with pytest.raises(InputError, match=r"driver is too old: it knows CUDA 11\.4, and 12\.0 is needed"):
        CudaSimulator(device="cuda:0")


def test_a_card_that_is_not_there(fake: Any) -> None:
    fake(count=2)
    with pytest.raises(InputError, match="no card 2: there are 2, from 0 on"):
        CudaSimulator(device="cuda:2")


def test_a_pytorch_without_cuda(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fake()
    monkeypatch.setattr(card, "torch_sees_it", lambda: False)
    with pytest.raises(InputError, match="built for CUDA"):
        CudaSimulator(device="cuda:0")
    with pytest.raises(InputError, match=r"simulator\.device.*built for CUDA.*doctor"):
        check_device("cuda:0")


def test_a_card_without_room_is_refused_before_the_start(fake: Any) -> None:
    fake(free=10**9)
    check_room("cuda:0", 10**8)
    check_room("cpu", 10**12)
    with pytest.raises(InputError, match=r"simulator\.device.*about 2 GB.*1 GB that are free on Pretended 0"):
        check_room("cuda:0", 2 * 10**9)


CONFIG: dict[str, Any] = {
    "network": {"layers": [8, 10, 6, 3], "neuron": {"model": "lif", "bias": 1.2}, "bias_spread": 0.5},
    "mismatch": {"chips": 2, "seed": 3, "threshold": {"distribution": "normal", "cv": 0.2}},
    "rule": {"name": "dfc", "prediction": "two_phase"},
    "simulator": {"name": "compiled", "presentation_ms": 12, "window_ms": 8},
    "training": {"epochs": 3, "batch": 6, "learning_rate": 0.5, "optimizer": "nlms"},
}


def samples() -> tuple[Any, Any]:
    numbers = np.random.default_rng(0)
    return numbers.random((12, 8)), np.arange(12) % 3


def on_card(**changes: Any) -> dict[str, Any]:
    return {"simulator.name": "cuda", "simulator.device": str(CARD), **changes}


def test_a_run_on_a_card_gives_the_weights_of_the_compiled_simulator(fake: Any) -> None:
    driver = fake()
    expected = st.load(CONFIG).fit(*samples())
    with PretendedCard() as there:
        given = st.load(CONFIG, on_card()).fit(*samples())
    for name, weights in expected.weights.items():
        np.testing.assert_allclose(given.weights[name], weights, rtol=0, atol=1e-9, err_msg=name)
    # a batch is one launch, both of its phases together; the rest are tests
    assert 3 * 2 <= driver.launches <= 3 * 2 + 8
    assert there.up > 0


def test_a_card_that_is_lost_costs_no_more_than_an_epoch(fake: Any, tmp_path: Path) -> None:
    x, y = samples()
    fake()
    with PretendedCard():
        setup = st.load(CONFIG, on_card())
        setup.fit(x, y, folder=tmp_path / "whole", report=False)
        driver = fake(lives=5)
        with pytest.raises(SimulationError, match="cuda:0 does not go on: CUDA_ERROR_ECC_UNCORRECTABLE"):
            setup.fit(x, y, folder=tmp_path / "lost", report=False)
        assert (tmp_path / "lost" / "checkpoint.safetensors").is_file()
        assert driver.launches == 5
        fake()
        setup.fit(x, y, folder=tmp_path / "lost", resume=True, report=False)
    for name in ("weights.safetensors", "checkpoint.safetensors", "truth.safetensors"):
        assert (tmp_path / "lost" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_what_pytorch_says_of_a_lost_card_is_one_message() -> None:
    for error, words in (
        (RuntimeError("CUDA error: an illegal memory access"), "card was lost.*last checkpoint holds"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried"), "no memory left.*training.batch"),
    ):
        with pytest.raises(SimulationError, match=words), lost_cards():
            raise error
    with pytest.raises(RuntimeError, match="something else"), lost_cards():
        raise RuntimeError("something else")


def test_sums_on_a_card_have_a_fixed_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    keep_order(torch.device("cpu"))
    assert not torch.are_deterministic_algorithms_enabled()
    try:
        keep_order(torch.device("cuda", 0))
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_network_too_large_for_a_block_is_refused_by_name(fake: Any) -> None:
    fake(shared=100)
    with PretendedCard(), pytest.raises(UnsupportedError, match=r"network\.layers.*a card's 100 a block"):
        speed(CudaSimulator(device=str(CARD)), sizes=(4, 5, 3), chips=1, samples=2, steps=4)


def test_what_the_doctor_measures_is_the_same_on_both(fake: Any) -> None:
    fake()
    size: dict[str, Any] = {"sizes": (8, 20, 3), "chips": 3, "samples": 3, "steps": 100, "repeats": 1}
    with PretendedCard():
        rate, ours = speed(CudaSimulator(device=str(CARD)), **size)
    _, theirs = speed(CompiledSimulator(), **size)
    assert rate > 0
    assert torch.equal(ours, theirs)
    assert float(theirs.sum()) > 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"name": "compiled", "threads": 2, "dt_ms": 0.5}, {"name": "cuda", "dt_ms": 0.5}),
        ({"name": "brian2", "mode": "runtime"}, {"name": "cuda"}),
        ("brian2", {"name": "cuda"}),
        ({"name": "torch"}, {"name": "torch"}),
        ({"name": "steady", "relaxation": 0.5}, {"name": "steady", "relaxation": 0.5}),
        ({"name": "loihi"}, {"name": "loihi"}),
    ],
)
def test_the_device_picks_the_simulator_that_goes_there(given: Any, expected: dict[str, Any]) -> None:
    assert placed({"simulator": given}, "cuda")["simulator"] == {**expected, "device": "cuda"}
    part = {"name": given} if isinstance(given, str) else given
    assert placed({"simulator": given}, "cpu")["simulator"] == {**part, "device": "cpu"}


def test_the_option_picks_it_too(fake: Any) -> None:
    fake()
    with PretendedCard():
        experiment = load_experiment("dfc_lif.yaml", [], str(CARD))
        assert experiment.simulator.name == "cuda"
        assert isinstance(experiment.build_simulator(), CudaSimulator)
    with pytest.raises(InputError, match=r"simulator\.device.*loihi"):
        load_experiment("dfc_lif.yaml", ["simulator.name=loihi"], "meta")


def test_a_study_has_a_worker_for_each_card(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(study_cards, "cards", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    there, here = {"simulator": {"name": "cuda", "device": "cuda"}}, {"simulator": {"name": "compiled"}}
    assert study_cards.worker_for_each(there) == 4
    assert study_cards.worker_for_each(here) is None
    for number in (1, 6):
        monkeypatch.setattr(study_cards, "_number", lambda number=number: number)
        study_cards.take_card(there)
    study_cards.take_card(here)
    study_cards.take_card({"simulator": {"name": "cuda", "device": "cuda:3"}})
    assert chosen == [1, 2]


def test_a_run_by_command_resumes_on_the_card(fake: Any, tmp_path: Path) -> None:
    """The checkpoint knows no device; the config of the run does."""
    fake()
    small = ["training.epochs=1", "network.layers=[64, 8, 10]", "mismatch.chips=1", "training.batch=512"]
    small += ["simulator.presentation_ms=6", "simulator.window_ms=4"]
    small += ["simulator.test_presentation_ms=6", "simulator.test_window_ms=4"]
    with PretendedCard():
        run(load_experiment("dfc_lif.yaml", small, str(CARD)), tmp_path, quiet=True, report=False)
        stored = load_experiment(str(tmp_path / "config.yaml"), ["training.epochs=2"])
        assert stored.simulator.name == "cuda"
        again = run(stored, tmp_path, resume=True, quiet=True, report=False)
    assert again.summary["epochs"] == 2


def test_a_study_goes_to_the_card_cell_by_cell(fake: Any) -> None:
    """Each with the simulator that goes there: the kernel for a processor's loops, tensors as they are."""
    fake()
    bases = {"spiking": "spiking/dfc_two_phase_digits.yaml", "rate": "rate/backprop_digits.yaml"}
    study = Study.from_mapping(
        {
            "name": "placed",
            "list": {"form": [{"label": label, "base": base} for label, base in bases.items()]},
            "set": {"training.epochs": 1},
            "device": str(CARD),
        }
    )
    with PretendedCard():
        plan = Plan(study)
        parts = [plan.cell(key).config["simulator"] for key in plan.keys()]  # noqa: SIM118 (a method)
    assert [part["device"] for part in parts] == [str(CARD)] * 2
    assert parts[0]["name"] == "cuda"
    assert parts[1]["name"] in {"steady", "torch"}
    assert not plan.errors
