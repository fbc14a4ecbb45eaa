"""The network as Brian2 objects: equations, thresholds and resets, with a place for what moves spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import brian2
from brian2.equations.equations import parse_string_equations
from brian2.utils.stringtools import word_substitute

from spiking.simulators.brian2.integrate import euler, exponential_euler
from spiking.simulators.brian2.layout import PREFIXES
from spiking.simulators.brian2.shape import Part, Population, Shape

__all__ = ["EVENTS", "Model", "build_model"]

EVENTS = ("spike", "shadow")
"""Brian2's names of the events of neurons and shadows."""

CONTROLLER = """
    dintegral/dt = ki*error - leak*integral : 1
    error = target - (gain*trace + offset) : 1
    ki = ki_step/dt : Hz
    leak = leak_step/dt : Hz
    control : 1
    trace : 1 (linked)
    target : 1 (constant)
    on : 1 (constant)
    kp : 1 (constant)
    ki_step : 1 (constant)
    leak_step : 1 (constant)
    gain : 1 (constant)
    offset : 1 (constant)
"""

READOUT = """
    dtrace/dt = -trace/tau_readout : 1
    tau_readout = -dt/log(trace_decay) : second
    trace_decay : 1 (constant)
"""


@dataclass(frozen=True)
class Model:
    """Brian2's objects for `samples` samples side by side.

    Args:
        shape: the structure.
        samples: number of samples; in every group the neurons of one sample stand together.
        clock: the clock of all objects.
        populations: the neurons.
        readout: the read-out trace.
        controller: the controller, or None.
    """

    shape: Shape
    samples: int
    clock: Any
    populations: tuple[Any, ...]
    readout: Any
    controller: Any | None

    @property
    def groups(self) -> tuple[Any, ...]:
        """All groups."""
        closing = () if self.controller is None else (self.controller,)
        return (*self.populations, self.readout, *closing)

    def variable(self, name: str) -> Any:
        """Return the variable that a section's ``group.variable`` names."""
        group, variable = name.split(".")
        return next(g for g in self.groups if g.name == group).variables[variable]


def build_model(shape: Shape, samples: int, dt_ms: float) -> Model:
    """Create the groups; what connects them is added by the caller, in these places of the step.

    ======================  ===============================================================
    ``start``               currents of an external drive
    ``groups``, order -3    the controller: integral and control signal
    ``groups``, order -1    feedback currents
    ``groups``, order 0     membranes, shadows and synaptic currents
    ``groups``, order 1     decay of the read-out trace
    ``thresholds``          spikes of neurons and shadows
    ``synapses``            delivery, read-out trace, window counters
    ``resets``              resets
    ``end``                 traces
    ======================  ===============================================================
    """
    clock = brian2.Clock(dt=dt_ms * brian2.ms, name="stepclock")
    populations = tuple(
        _population(shape, index, population, samples, clock)
        for index, population in enumerate(shape.populations)
    )
    outputs = samples * shape.outputs
    readout = brian2.NeuronGroup(
        outputs, READOUT, method=exponential_euler(), order=1, clock=clock, name="readout"
    )
    controller = None
    if shape.controller:
        controller = brian2.NeuronGroup(
            outputs,
            CONTROLLER,
            method=euler(after="control = (kp*error + integral)*on"),
            order=-3,
            clock=clock,
            name="controller",
        )
        controller.trace = brian2.linked_var(readout, "trace")
    return Model(shape, samples, clock, populations, readout, controller)


def _population(shape: Shape, index: int, population: Population, samples: int, clock: Any) -> Any:
    driven = shape.drive == "currents" and 0 in population.layers
    parameters = ["synapse_decay : 1 (constant)", "bias : 1 (constant)"]
    terms = ["synapse", "bias"]
    if driven:
        parameters.append("external : 1")
        terms.append("external")
    if shape.injected:
        parameters.append("injected : 1 (constant)")
        terms.append("injected")
    shadow_terms = [*terms, "bias_change"]
    if shape.controller:
        parameters.append("feedback : 1")
        terms.append("feedback")
    if shape.shadow:
        parameters.append("bias_change : 1 (constant)")
    synapse = "dsynapse/dt = -synapse/tau_synapse : 1\ntau_synapse = -dt/log(synapse_decay) : second"
    equations = brian2.Equations("\n".join([synapse, *parameters]))
    after, events = [], {}
    kinds = zip(PREFIXES, EVENTS, population.parts, (terms, shadow_terms), strict=False)
    for prefix, event, part, sums in kinds:
        equations += _dynamics(prefix, part, " + ".join(sums))
        after.append(_rename(part.equations.after, prefix, part))
        if population.spikes:
            events[event] = _rename(part.equations.threshold, prefix, part)
    group = brian2.NeuronGroup(
        samples * population.size,
        equations,
        method=exponential_euler("\n".join(after)),
        threshold=events.pop("spike", None),
        reset=_rename(population.parts[0].equations.reset, PREFIXES[0], population.parts[0]) or None,
        events=dict(events),
        clock=clock,
        name=f"population{index}",
    )
    for event in events:  # the shadows'
        group.run_on_event(
            event,
            _rename(population.parts[1].equations.reset, PREFIXES[1], population.parts[1]),
            when="resets",
        )
    return group


def _names(prefix: str, part: Part) -> dict[str, str]:
    """Return the new names of a part's own variables."""
    own = set(parse_string_equations(part.equations.dynamics)) | set(part.constants) | {"current"}
    return {name: prefix + name for name in own}


def _dynamics(prefix: str, part: Part, current: str) -> Any:
    constants = "\n".join(f"{name} : 1 (constant)" for name in part.constants)
    text = "\n".join([part.equations.dynamics, constants, f"current = {current} : 1"])
    return brian2.Equations(_rename(text, prefix, part, derivatives=True))


def _rename(text: str, prefix: str, part: Part, derivatives: bool = False) -> str:
    names = _names(prefix, part)
    if derivatives:
        names |= {f"d{old}": f"d{new}" for old, new in names.items()}
    return str(word_substitute(text, names))
