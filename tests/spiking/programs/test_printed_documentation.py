"""The equations of the documentation are those of the source."""

from pathlib import Path

from spiking.neurons import ALIF, Equations
from spiking.neurons.printed import rewritten
from spiking.programs.to_latex import latex

ROOT = Path(__file__).parents[3]


def test_the_documentation_is_printed_from_the_source():
    text = (ROOT / "docs" / "model.md").read_text("utf-8")
    assert rewritten(text) == text, "make docs"
    assert text.count("```math") == 7


def test_lines_of_a_neuron():
    flow, adaptation, spike = latex(ALIF().text)
    assert flow == r"\frac{dv}{dt} &= \frac{I - v}{\tau_{\mathrm{m}}}"
    assert adaptation == r"\frac{da}{dt} &= \frac{-a}{\tau_{\mathrm{a}}}"
    assert spike.startswith(
        r"v > \mathrm{threshold} + a &:\quad v \leftarrow \mathrm{reset},\quad a \leftarrow a + "
    )


def test_every_operation_has_a_print():
    neuron = Equations(
        "dv/dt = -(v - current * (v + b)) / tau - (v - (v - b)) / tau",
        threshold="not v < b and exp(v) >= 2 or v <= 1",
        reset="v -= b",
        values={"b": 1, "tau": "1 ms"},
    )
    flow, spike = latex(neuron.text)
    assert r"I\,\left(v + b\right)" in flow
    assert r"v - \left(v - b\right)" in flow
    assert r"\neg \left(v < b\right)" in spike
    assert r"\operatorname{exp}\left(v\right) \ge 2" in spike
