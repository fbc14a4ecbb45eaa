"""Spikes of a sample on the worst chip, free and under control."""

from sklearn.datasets import load_digits

import spiketrain as st

x, y = load_digits(return_X_y=True)
network = {"layers": [64, 40, 10], "neuron": st.LIF(bias=1.0), "bias_spread": 0.5}
chips = {"chips": 4, "threshold": st.Normal(cv=0.2), "weight": st.Normal(cv=0.2)}
time = {"name": "torch", "presentation_ms": 60, "window_ms": 40}
training = {"epochs": 1, "batch": 32, "learning_rate": 3.0, "optimizer": st.CentredNLMS()}
parts = {"network": network, "mismatch": chips, "rule": st.DeepFeedbackControl(), "simulator": time}
run = st.load({**parts, "training": training}).fit(x[:400] / 16, y[:400])
run.plot("raster", chip=run.worst).write("figure.svg")
