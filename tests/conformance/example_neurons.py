"""Neurons beyond LIF and Rate, which have suites of their own."""

from spiking.neurons import ALIF, IF, LI, QIF, CubaLIF, Equations

ADAPTIVE = Equations(
    equations="""
        drive = current - w : 1   # as in docs/guide.md
        dv/dt = (drive - v) / tau_m : 1
        dw/dt = -w / tau_w : 1
    """,
    threshold="v > theta",
    reset="v = 0; w += jump",
    refractory="hold",
    start="v = uniform * theta",
    values={
        "tau_m": "20 ms",
        "tau_w": "100 ms",
        "theta": 1.0,
        "jump": 0.1,
        "hold": "2 ms",
        "tau_syn": "5 ms",
    },
    bias=1.0,
)
"""A neuron as a config may say it."""

STEEP = Equations(
    equations="dv/dt = (current - v + sharpness * exp((v - turn) / sharpness)) / tau_m",
    threshold="v > peak and not v < theta",
    reset="v = where(v > 2 * peak, 0.1, 0)",
    values={"tau_m": "20 ms", "sharpness": 0.2, "turn": 1.0, "peak": 3.0, "theta": 1.0},
    bias=1.2,
)
"""An exponential integrate-and-fire neuron."""

SMOOTH = Equations(
    equations="dv/dt = (current - v) / tau - k * v * z; dz/dt = (maximum(v, 0) - z) / tau",
    emission="tanh(v)**2 + clip(z, 0, 1) * abs(v) - minimum(v, 0)",
    values={"tau": "8 ms", "k": "20 Hz"},
)
"""A neuron with two states, that does not spike."""

NEURONS = {
    "alif": ALIF(bias=1.0),
    "alif, held": ALIF(bias=1.5, refractory_ms=3.0, reset=-0.2, jump=0.3),
    "if": IF(bias=0.4),
    "cuba_lif": CubaLIF(bias=1.0),
    "qif": QIF(bias=0.8),
    "li": LI(tau_m_ms=8.0, bias=0.2),
    "equations": ADAPTIVE,
    "equations, exponential": STEEP,
    "equations, smooth": SMOOTH,
}
