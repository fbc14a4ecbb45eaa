"""An experiment of objects alone, each of which an editor completes and a type checker checks."""

import numpy as np

import spiketrain as st

lif = st.LIF(tau_m_ms=20.0, bias=1.0)
dfc = st.DeepFeedbackControl(controller=st.ControllerGains(kp=1.0, ki_per_ms=0.02))

exp = st.build(
    network=st.Network([16, 12, 3], lif, bias_spread=0.5),
    mismatch=st.Mismatch(2, seed=3, threshold=st.Normal(cv=0.2), weight=st.Normal(cv=0.2)),
    rule=dfc,
    simulator=st.Simulator("torch", presentation_ms=40.0, window_ms=30.0),
    training=st.Training(epochs=1, batch=16, learning_rate=3.0, optimizer=st.CentredNLMS()),
    analysis=st.Analysis(reference=True),
)

numbers = np.random.default_rng(0)
labels = np.arange(120) % 3  # yours: numbers in [0, 1], and integer labels
images = 0.7 * numbers.random((120, 4, 4)) + 0.3 * (np.arange(4)[:, None] == labels[:, None, None])
run = exp.fit(images, labels)
print(run.accuracy, "of chips;", run.summary["reference"], "without mismatch")

graph = st.Graph(
    (4, 4),
    {"edges": st.Population(), "hidden": st.Population(12), "output": st.Population(3)},
    {
        "look": st.Connection("input", "edges", st.Conv2d(channels=2, kernel=3)),
        "gather": st.Connection("edges", "hidden"),
        "again": st.Connection("hidden", "hidden", st.Recurrent(), weight_gain=0.2),
        "decide": st.Connection("hidden", "output"),
    },
    lif,
)
print(exp.change({"network": graph, "rule": st.ReadoutOnly()}).fit(images, labels))
