"""Files that snnTorch, Norse and SpikingJelly wrote give the same spikes here, bin by bin."""

from __future__ import annotations

import nir_environment as environment
import numpy as np
import pytest

from root.errors import InputError
from spiking.network import Clock
from spiking.nir import NIRFile, Reading, replay

# case: its step in ms, what a spike does, models of the layers
CASES = {
    "snntorch-leaky": (0.1, "value", ["lif", "lif"]),
    "snntorch-subtract": (0.1, "subtract_late", ["equations", "equations"]),
    "snntorch-synaptic": (0.1, "value", ["cuba_lif", "cuba_lif"]),
    "snntorch-recurrent": (0.1, "value", ["lif", "lif"]),
    "snntorch-images": (0.1, "value", ["lif", "lif"]),
    "norse-lif": (0.001, "value", ["lif", "li"]),  # its export writes dt times the constant
    "spikingjelly-lif": (1.0, "value", ["lif", "lif"]),
    "spikingjelly-if": (1.0, "value", ["equations", "cuba_lif"]),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    environment.needs("nir")
    folder = tmp_path_factory.mktemp("made")
    jobs = [{"case": case, "folder": str(folder)} for case in CASES if environment.has(case.split("-")[0])]
    return folder, environment.call("make", jobs, folder)


@pytest.mark.parametrize("case", CASES)
def test_the_same_spikes_in_the_same_steps(made, case):
    environment.needs(case.split("-")[0])
    folder, said = made
    assert (folder / f"{case}.nir").exists(), said
    dt_ms, reset, models = CASES[case]
    file, shown = NIRFile(folder / f"{case}.nir"), np.load(folder / f"{case}.npz")
    assert case == "norse-lif" or file.likely_dt_ms == dt_ms
    chip = file.chip(Clock(dt_ms=dt_ms, max_rate_hz=73.0), Reading("euler", reset))
    assert [layer.neuron.model for layer in chip.network.layers] == models
    ours = replay(chip, shown["spikes"].reshape(len(shown["spikes"]), -1))[-1].numpy()
    assert np.abs(shown["emitted"]).sum() > 15
    assert np.allclose(ours, shown["emitted"], rtol=0, atol=1e-5)


def test_another_solver_or_reset_is_another_network(made):
    """What the options are for."""
    environment.needs("snntorch")
    folder, _ = made
    shown = np.load(folder / "snntorch-subtract.npz")
    file, clock = NIRFile(folder / "snntorch-subtract.nir"), Clock(dt_ms=0.1)
    for reading in (Reading(), Reading("euler"), Reading("euler", "subtract")):
        assert not np.array_equal(replay(file.chip(clock, reading), shown["spikes"])[-1], shown["emitted"])
    with pytest.raises(InputError, match=r"tau 0\.3.* ms of neuron 0 .*, with solver: euler.*dt_ms \(1 ms\)"):
        file.chip(Clock(dt_ms=1.0), Reading("euler"))
