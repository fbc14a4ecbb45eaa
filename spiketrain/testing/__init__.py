"""Whether a part of somebody else's does what parts of its kind promise: the suite that ours run.

::

    from spiketrain import testing

    print(testing.check_neuron(MyNeuron(bias=1.0)))             # a line per check, or ConformanceError
    testing.check_connection(MyPattern(), pre=(6, 6), post=(20,))
    testing.check_rule(MyRule())
    testing.check_simulator(MySimulator)

    @pytest.mark.parametrize("case", testing.neuron_cases(MyNeuron(bias=1.0)), ids=str)
    def test_my_neuron(case):
        case()

What a simulator refuses with a reason (`UnsupportedError`), or does not work on this machine, is skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from learning.rule import LearningRule
from spiketrain.testing.cases import Case, ConformanceError, Finding, Report, examine
from spiketrain.testing.connections import connection_cases
from spiketrain.testing.neurons import neuron_cases
from spiketrain.testing.rules import NEURONS, rule_cases
from spiketrain.testing.simulators import simulator_cases
from spiking.connections import Pattern
from spiking.connections.base import Axes
from spiking.neurons.base import Neuron
from spiking.simulators.base import Simulator

__all__ = [
    "Case",
    "ConformanceError",
    "Finding",
    "Report",
    "check_connection",
    "check_neuron",
    "check_rule",
    "check_simulator",
    "connection_cases",
    "neuron_cases",
    "rule_cases",
    "simulator_cases",
]


def check_neuron(
    neuron: Neuron, *, simulators: Sequence[str] | None = None, unstable: bool = False
) -> Report:
    """Check a neuron: its parameters, its curve, and its spikes in every simulator.

    Args:
        neuron: see `neuron_cases`, as for the others.
        simulators: names of those it must spike alike in; by default all that compute in time.
        unstable: whether its potential runs away before a spike.

    Raises:
        ConformanceError: a check fails, or not one could be made.
    """
    return examine(repr(neuron), neuron_cases(neuron, simulators=simulators, unstable=unstable))


def check_connection(
    pattern: Pattern, pre: Axes, post: Axes, *, simulators: Sequence[str] | None = None
) -> Report:
    """Check a kind of connection: its adjoint operations, its wiring, and whole networks in every simulator.

    Args:
        pattern: see `connection_cases`.
        pre: axes of a population before it.
        post: axes of a population behind it.
        simulators: names of those that must run it alike; by default all that compute in time.

    Raises:
        ConformanceError: a check fails, or not one could be made.
    """
    return examine(repr(pattern), connection_cases(pattern, pre, post, simulators=simulators))


def check_rule(
    rule: LearningRule, *, neurons: Sequence[Neuron | str] = tuple(NEURONS), learns: bool = True
) -> Report:
    """Check a learning rule, on mismatched chips of rate and of spiking neurons.

    Args:
        rule: see `rule_cases`.
        neurons: of the networks it is tried on.
        learns: whether it must learn a batch, where neurons do not spike.

    Raises:
        ConformanceError: a check fails, or not one could be made.
    """
    cases = [
        Case(f"{case} ({neuron if isinstance(neuron, str) else neuron.model})", case.check)
        for neuron in neurons
        for case in rule_cases(rule, neuron, learns=learns)
    ]
    return examine(repr(rule), cases)


def check_simulator(kind: type[Simulator], **options: Any) -> Report:
    """Check a simulator: spike for spike what tensors do, or a refusal.

    Args:
        kind: the class.
        options: for its constructor.

    Raises:
        ConformanceError: a check fails, or not one could be made.
    """
    return examine(kind.__name__, simulator_cases(kind, **options))
