"""How well feedback and updates are aligned."""

from sklearn.datasets import load_digits

import spiketrain as st

x, y = load_digits(return_X_y=True)
analysis = {"mismatch.chips": 4, "training.epochs": 3, "analysis.measures": True}
run = st.load("rate/dfc_digits", analysis).fit(x[:400] / 16, y[:400])
run.plot("alignment").write("figure.svg")
