"""Norse, snnTorch and SpikingJelly run our files and count the same spikes, bin by bin."""

from __future__ import annotations

import nir_environment as environment
import numpy as np
import pytest
import torch
from test_nir import random_chip

from spiking.network import Connection, chain
from spiking.neurons import LIF, CubaLIF
from spiking.nir import EXACT, FORMS, Stored, read, replay, write

PROGRAMS = ("norse", "snntorch", "spikingjelly")
DT_MS = 0.5


def one_for_all(chip, *fields):
    """Return a chip whose neurons have the same value of some parameters."""
    neurons = [
        {f: torch.full_like(v, float(v[0])) if f in fields else v for f, v in values.items()}
        for values in chip.neurons
    ]
    return Stored(chip.network, chip.weights, tuple(neurons))


def network(neuron, **keys):
    return random_chip(chain([6, 30, 8], neuron, dt_ms=DT_MS, max_rate_hz=130.0, **keys))


def chips():
    """Return chips whose thresholds, resets, biases and, but for SpikingJelly, time constants all differ."""
    plain = network(LIF(tau_syn_ms=0.0, bias=0.8, reset=-0.3, tau_m_ms=8.0))
    own = network(CubaLIF(bias=0.8, tau_m_ms=8.0, tau_syn_ms=3.0))
    looped = chain([6, 30, 8], LIF(tau_syn_ms=0.0, bias=0.8, tau_m_ms=8.0), dt_ms=DT_MS)
    loops = random_chip(type(looped)(6, looped.layers, (*looped.connections, Connection(1, 1)), DT_MS))
    return {
        "plain": plain,
        "plain, one time": one_for_all(plain, "tau_m_ms"),
        "filtered": own,
        "filtered, one time": one_for_all(own, "tau_m_ms", "tau_syn_ms"),
        "a loop, one time": one_for_all(loops, "tau_m_ms"),
    }


CASES = [
    ("norse", "plain"),
    ("norse", "filtered"),
    ("snntorch", "plain"),
    ("snntorch", "filtered"),
    ("spikingjelly", "plain, one time"),
    ("spikingjelly", "filtered, one time"),
    ("spikingjelly", "a loop, one time"),
]


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """What every program makes of the chips, in the portable and in the exact form; and ours."""
    environment.needs("nir")
    folder = tmp_path_factory.mktemp("nir")
    spikes = (np.random.default_rng(3).random((400, 6)) < 0.1).astype(float)
    np.save(folder / "spikes.npy", spikes)
    jobs, ours = [], {}
    for name, chip in chips().items():
        for program in PROGRAMS:
            for kind, form in (("right", FORMS[program]), ("exact", EXACT)):
                file = folder / f"{program}-{name}-{kind}.nir"
                write(file, chip, form)
                one = {"program": program, "file": str(file), "dt": 1e-3 * DT_MS}
                jobs.append(one | {"spikes": str(folder / "spikes.npy"), "out": str(file) + ".npy"})
        ours[name] = replay(read(file), spikes)[-1].numpy()
    said = environment.call("run", jobs, folder)
    return folder, ours, said


@pytest.mark.parametrize(("program", "name"), CASES)
def test_the_same_spikes_in_the_same_steps(counted, program, name):
    environment.needs(program)
    folder, ours, said = counted
    file = folder / f"{program}-{name}-right.nir.npy"
    assert file.exists(), said
    assert 20 < ours[name].sum() < 0.5 * ours[name].size
    assert np.array_equal(np.load(file), ours[name])


@pytest.mark.parametrize(("program", "name"), CASES)
def test_the_exact_form_is_not_theirs(counted, program, name):
    """Why the portable form is the default."""
    environment.needs(program)
    folder, ours, _ = counted
    file = folder / f"{program}-{name}-exact.nir.npy"
    assert not file.exists() or not np.array_equal(np.load(file), ours[name])
