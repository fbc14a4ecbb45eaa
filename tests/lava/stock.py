"""Run in Lava's environment: what Lava's own bit-accurate LIF makes of given inputs, neuron by neuron.

``python stock.py IN.npz OUT.npz``: inputs ``a`` (steps, neurons) and per-neuron registers; returns u, v, s.
"""

import sys

import numpy as np
from runtime.compatibility import mutable_defaults

with mutable_defaults():
    import lava.magma.compiler.var_model  # noqa: F401

from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.models import PyLifModelBitAcc
from lava.proc.lif.process import LIF
from lava.proc.monitor.process import Monitor


def one_by_one(a, registers):
    """Every neuron is a population of its own, as the stock LIF has one du, dv and vth for all."""
    steps, neurons = a.shape
    u, v, s = (np.zeros((steps, neurons), np.int64) for _ in range(3))
    for n in range(neurons):
        model = PyLifModelBitAcc({})
        model.u, model.v = np.zeros(1, np.int32), np.zeros(1, np.int32)
        for name in ("du", "dv", "vth"):
            setattr(model, name, int(registers[name][n]))
        model.bias_mant = registers["bias_mantissa"][n : n + 1].astype(np.int16)
        model.bias_exp = registers["bias_exponent"][n : n + 1].astype(np.int16)
        model.scale_bias()
        model.scale_threshold()
        for t in range(steps):
            model.subthr_dynamics(a[t, n : n + 1].astype(np.int32))
            spiked = model.spiking_activation()
            model.reset_voltage(spiked)
            u[t, n], v[t, n], s[t, n] = model.u[0], model.v[0], spiked[0]
    return {"u": u, "v": v, "s": s}


def network(spikes, weights, registers):
    """A whole stock network, source to dense to LIF, with the registers of neuron 0 for all."""
    steps = len(spikes)
    source = RingBuffer(data=spikes.T.astype(int))
    dense = Dense(weights=weights.T.astype(int), num_weight_bits=8)
    lif = LIF(
        shape=(weights.shape[1],),
        du=int(registers["du"][0]),
        dv=int(registers["dv"][0]),
        vth=int(registers["vth"][0]),
        bias_mant=int(registers["bias_mantissa"][0]),
        bias_exp=int(registers["bias_exponent"][0]),
    )
    source.s_out.connect(dense.s_in)
    dense.a_out.connect(lif.a_in)
    monitor = Monitor()
    monitor.probe(lif.v, steps)
    lif.run(condition=RunSteps(steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    (data,) = monitor.get_data().values()
    lif.stop()
    return {"network_v": data["v"]}


if __name__ == "__main__":
    with np.load(sys.argv[1]) as file:
        given = dict(file)
    results = one_by_one(given["a"], given)
    results |= network(given["spikes"], given["weights"], given)
    np.savez(sys.argv[2], **results)
