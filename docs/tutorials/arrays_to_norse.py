# %% [markdown]
# # From two arrays to Norse
# Four chips that all differ learn by feedback control; the worst of them is looked at, and run in Norse.
# %%
import nir
import torch
from sklearn.datasets import load_digits

import spiketrain as st
from spiking.nir import read, replay

x, y = load_digits(return_X_y=True)  # yours: numbers in [0, 1] and integer labels
x, x_test, y, y_test = x[:600] / 16, x[600:700] / 16, y[:600], y[600:700]
exp = st.load(
    {
        "network": {"layers": [64, 40, 10], "neuron": st.LIF(tau_syn_ms=0.0, bias=1.0), "bias_spread": 0.5},
        "mismatch": {"chips": 4, "threshold": st.Normal(cv=0.2), "tau_m": st.Normal(cv=0.2)},
        "rule": st.DeepFeedbackControl(controller=st.ControllerGains(kp=1.0, ki_per_ms=0.02)),
        "simulator": {"name": "torch", "presentation_ms": 60, "window_ms": 40},
        "training": {"epochs": 1, "batch": 32, "learning_rate": 3.0, "optimizer": st.CentredNLMS()},
    }
)
run = exp.fit(x, y, test=(x_test, y_test))
run.plot("raster", chip=run.worst)
# %%
file = run.export("exported", effective=True, reader="norse")[run.worst]
spikes = run.activity(x_test[:1])["input"].spikes[run.worst][0]  # (time, inputs)
ours = replay(read(file), spikes)[-1].sum()
# %% tags=["norse"]
import norse.torch

net, state, theirs = norse.torch.from_nir(nir.read(file), dt=1e-3), None, 0.0
for step in torch.from_numpy(spikes.copy()).float():
    out, state = net(step[None], state)
    theirs += out.sum()
print(f"output spikes of the worst chip: {ours:.0f} here, {theirs:.0f} in Norse")
# %%
st.compare({"DFC": exp, "read-out only": exp.change({"rule": st.ReadoutOnly()})}, x, y, test=(x_test, y_test))
