"""From two arrays to a trained, examined, exported and compared spiking network on mismatched chips."""

import sys
from pathlib import Path

from sklearn.datasets import load_digits

import spiketrain as st

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "two_arrays")
folder.mkdir(exist_ok=True)
images, labels = load_digits(return_X_y=True)  # yours: numbers in [0, 1] and integer labels
images = images.reshape(-1, 8, 8) / 16

dfc = st.load(
    {
        "network": {"layers": [64, 40, 10], "neuron": st.LIF(bias=1.0), "bias_spread": 0.5},
        "mismatch": {"chips": 4, "threshold": st.Normal(cv=0.2), "weight": st.Normal(cv=0.2)},
        "rule": st.DeepFeedbackControl(controller=st.ControllerGains(kp=1.0, ki_per_ms=0.02)),
        "simulator": {"name": "torch", "presentation_ms": 60, "window_ms": 40},
        "training": {"epochs": 1, "batch": 32, "learning_rate": 3.0, "optimizer": st.CentredNLMS()},
    }
)
run = dfc.fit(images[:600], labels[:600], test=(images[600:800], labels[600:800]), on_epoch=print)
print(run.history["test_accuracy"].unstack())  # epochs × chips

run.plot("raster", chip=run.worst).write(folder / "worst_chip.svg")
spikes = run.activity(images[:1])["output"].spikes  # (chips, samples, time, neurons)
print(f"chip {run.worst} sends {spikes[run.worst].sum():.0f} output spikes for the first image")
print("written:", *run.export(folder / "nir", effective=True))
run.save(folder / "run")

rules = {"DFC": dfc, "read-out only": dfc.change({"rule": st.ReadoutOnly()})}
table = st.compare(rules, images[:600], labels[:600], test=(images[600:800], labels[600:800]))
print(table[["mean", "minimum", "difference", "p_holm"]])
