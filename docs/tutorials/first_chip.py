# %% [markdown]
# # Two arrays to a trained chip
#
# Two arrays go in, a network on four mismatched chips is trained, and the worst chip is looked at.

# %%
from sklearn.datasets import load_digits

import spiketrain as st

x, y = load_digits(return_X_y=True)
x = x / 16  # inputs lie in [0, 1]
x.shape, y.shape

# %% [markdown]
# A shipped experiment with three changes: a simulator that needs no compiler, short presentations, one epoch.
# Only the read-out learns, from hidden neurons that nobody trained.

# %%
exp = st.load(
    "readout_lif",
    {
        "simulator.name": "torch",
        "simulator.presentation_ms": 60,
        "simulator.window_ms": 40,
        "simulator.test_presentation_ms": 60,
        "simulator.test_window_ms": 40,
        "training.epochs": 1,
    },
)
run = exp.fit(x[:500], y[:500], test=(x[500:700], y[500:700]))
run.history["test_accuracy"].unstack()  # epochs × chips; epoch 0 is before training

# %% [markdown]
# The chips are the same network, made four times. What the worst one does with a sample:

# %%
run.plot("raster", chip=run.worst)

# %% [markdown]
# Its weights and its activity are arrays, with the chips first.

# %%
spikes = run.activity(x[:3], record=["spikes"])["hidden"].spikes
run.weights["input->hidden"].shape, spikes.shape, spikes[run.worst].sum(axis=(1, 2))

# %% [markdown]
# ## What next
#
# `run.save("runs/mine")` writes the folder that `spiketrain deploy`, `export` and `--resume` work on. How
# much of the error is the chips' own? That is [the next tutorial](cost_of_mismatch.py).
