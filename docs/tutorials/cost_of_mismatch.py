# %% [markdown]
# # What mismatch costs
#
# The same network is trained on its design, and the weights are written to chips that deviate from it.

# %%
import pandas as pd
from sklearn.datasets import load_digits

import spiketrain as st

x, y = load_digits(return_X_y=True)
x = x / 16

design = st.load(
    {
        "network": {"layers": [64, 40, 10], "neuron": st.Rate()},
        "mismatch": {"chips": 5, "gain": st.Normal(cv=0.2), "weight": st.Normal(cv=0.2)},
        "rule": st.Backprop(),
        "bridge": {"encoding": "current"},
        "simulator": {"name": "steady"},
        "training": {
            "epochs": 3,
            "batch": 32,
            "learning_rate": 0.01,
            "optimizer": st.Adam(),
            "arm": "offline",
        },
    }
)
data = {"x": x[:600], "y": y[:600], "test": (x[600:800], y[600:800])}
offline = design.fit(**data)
offline.accuracy.round(3)

# %% [markdown]
# Now the chips are in the loop: the same rule, but it measures the rates of each chip instead of computing
# those of the design.

# %%
in_loop = design.change({"training.arm": "in_loop"}).fit(**data)
in_loop.accuracy.round(3)

# %% [markdown]
# Chip by chip, from the one that the design fits best to the one that it fits least:

# %%
table = pd.DataFrame({"design": offline.accuracy, "in the loop": in_loop.accuracy})
table.sort_values("design", ascending=False)

# %% [markdown]
# A rule in the loop is never told what deviates; it only sees what comes out. With spikes the gap is far
# larger: [the results](../results.md) have both, on the same chips.
