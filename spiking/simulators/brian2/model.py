"""The network as Brian2 objects: equations, thresholds and resets, with a place for what moves spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import brian2

from spiking.simulators.brian2.functions import FUNCTIONS, statements
from spiking.simulators.brian2.shape import PREFIXES, Part, Population, Shape

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

CONTROL = ("integral += ki_step*error - leak_step*integral", "control = (kp*error + integral)*on")

READOUT = """
    dtrace/dt = -trace/tau_readout : 1
    tau_readout = -dt/log(trace_decay) : second
    trace_decay : 1 (constant)
"""

SYNAPSE = """
    dsynapse/dt = -synapse/tau_synapse : 1
    tau_synapse = -dt/log(synapse_decay) : second
    synapse_decay : 1 (constant)
    bias : 1 (constant)
"""


RELAY = """
    dseen/dt = -seen/tau_seen : 1
    tau_seen = -dt/log(seen_decay) : second
    seen_decay : 1 (constant)
    apical : 1
    passed : 1
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
        relays: of layers 1 to L - 1 where feedback is layered: the activity that the gates see, what the
            neurons received, and what they pass on.
    """

    shape: Shape
    samples: int
    clock: Any
    populations: tuple[Any, ...]
    readout: Any
    controller: Any | None
    relays: tuple[Any, ...]

    @property
    def groups(self) -> tuple[Any, ...]:
        """All groups."""
        closing = () if self.controller is None else (self.controller,)
        return (*self.populations, self.readout, *closing, *self.relays)

    def variable(self, name: str) -> Any:
        """Return the variable that a section's ``group.variable`` names."""
        group, variable = name.split(".")
        return next(g for g in self.groups if g.name == group).variables[variable]


def build_model(shape: Shape, samples: int, dt_ms: float) -> Model:
    """Create the groups; what connects them is added by the caller, in these places of the step.

    ======================  ===============================================================
    ``start``               currents of an external drive, and targets that move
    ``groups``, order -3    the controller: integral and control signal
    ``groups``, order -1    feedback currents; layered feedback through Synapses comes before, from -3 on,
                            and the controller before that
    ``groups``, order 0     membranes, shadows and synaptic currents
    ``groups``, order 1     decay of the read-out trace, and of what gates see
    ``thresholds``          spikes of neurons and shadows
    ``synapses``            delivery, read-out trace, what gates see, window counters
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
        outputs, READOUT, method=statements("trace = trace*trace_decay"), order=1, clock=clock, name="readout"
    )
    controller = None
    if shape.controller:
        controller = brian2.NeuronGroup(
            outputs,
            CONTROLLER,
            method=statements(*CONTROL),
            order=-3 - (shape.depth if shape.gate_points else 0),
            clock=clock,
            name="controller",
        )
        controller.trace = brian2.linked_var(readout, "trace")
    relays = tuple(
        brian2.NeuronGroup(
            samples * shape.place(layer)[2],
            RELAY,
            method=statements("seen = seen*seen_decay"),
            order=1,
            clock=clock,
            name=f"relay{layer}",
        )
        for layer in shape.relays
    )
    return Model(shape, samples, clock, populations, readout, controller, relays)


def _population(shape: Shape, index: int, population: Population, samples: int, clock: Any) -> Any:
    driven = index in shape.driven
    parameters, terms = [], ["synapse", "bias"]
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
    equations = brian2.Equations("\n".join([SYNAPSE, *parameters]))
    for prefix, part, sums in zip(PREFIXES, population.parts, (terms, shadow_terms), strict=False):
        equations += _variables(prefix, part, " + ".join(sums))
    codes = [part.code for part in population.parts]
    events = {event: code.threshold for event, code in zip(EVENTS, codes, strict=False) if code.threshold}
    group = brian2.NeuronGroup(
        samples * population.size,
        equations,
        method=statements(*(code.update for code in codes), "synapse = synapse*synapse_decay"),
        threshold=events.pop("spike", None),
        reset=codes[0].reset or None,
        events=dict(events),
        namespace=FUNCTIONS,
        clock=clock,
        name=f"population{index}",
    )
    for event in events:  # the shadows'
        group.run_on_event(event, codes[1].reset, when="resets")
    return group


def _variables(prefix: str, part: Part, current: str) -> Any:
    """Return a part's own variables, declared."""
    lines = [f"{prefix}{name} : 1 (constant)" for name in part.constants]
    lines += [f"{prefix}{name} : 1" for name in part.states]
    lines += [f"{part.code.emission} : 1"] if part.code.emission else []
    return brian2.Equations("\n".join([*lines, f"{prefix}current = {current} : 1"]))
