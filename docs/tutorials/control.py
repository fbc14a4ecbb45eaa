# %% [markdown]
# # Control that teaches
#
# In Deep Feedback Control a controller inside the simulation pushes the chip's output to its target. How
# hidden neurons give way is what they learn from.

# %%
from sklearn.datasets import load_digits

import spiketrain as st

x, y = load_digits(return_X_y=True)
x = x / 16

exp = st.load(
    {
        "network": {"layers": [64, 40, 10], "neuron": st.LIF(bias=1.0), "bias_spread": 0.5},
        "mismatch": {"chips": 2, "threshold": st.Normal(cv=0.2), "weight": st.Normal(cv=0.2)},
        "rule": st.DeepFeedbackControl(controller=st.ControllerGains(kp=1.0, ki_per_ms=0.02)),
        "simulator": {"name": "torch", "presentation_ms": 80, "window_ms": 40},
        "training": {"epochs": 1, "batch": 32, "learning_rate": 3.0, "optimizer": st.CentredNLMS()},
    }
)
run = exp.fit(x[:500], y[:500], test=(x[500:700], y[500:700]))
run.accuracy

# %% [markdown]
# One sample, free and under control: the control signal rises until the output is where it should be.

# %%
run.plot("control")

# %%
run.plot("raster")

# %% [markdown]
# The control signal itself, per chip, sample and step:

# %%
seen = run.activity(x[:1], y[:1], phase="controlled", record=["control", "readout"])
seen.control.shape, abs(seen.control[:, 0, -20:]).mean(axis=(1, 2)).round(3)

# %% [markdown]
# The smaller this effort becomes while training, the more of the task is in the weights.

# %%
run.plot("effort")
