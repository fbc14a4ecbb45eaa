"""What moves spikes and currents in a compiled program: calls of ``exchange.h``, one object per place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import brian2
from brian2.devices.device import get_device

from spiking.simulators.brian2.layout import Section, layout
from spiking.simulators.brian2.model import EVENTS, Model
from spiking.simulators.brian2.shape import PREFIXES

__all__ = ["learning", "operators", "transfers"]


def operators(model: Model) -> list[Any]:
    """Return the Brian2 objects that connect the groups of `model`."""
    glue = _Glue(model)
    places: list[tuple[str, str, int, list[str]]] = [
        ("drive", "start", 0, list(glue.drive())),
        ("aim", "start", 0, list(glue.aim())),
        ("feed_back", "groups", -1, [*glue.feedback(), *glue.learn_now()]),
        ("deliver", "synapses", 0, [*glue.deliver(), *glue.readout(), *glue.watch(), *glue.count()]),
        ("trace", "synapses", 1, [*glue.learn_biases(), *glue.trace()]),
        ("record", "end", 0, list(glue.record())),
    ]
    return [_operator(model, name, when, order, lines) for name, when, order, lines in places if lines]


def _operator(model: Model, name: str, when: str, order: int, lines: Sequence[str]) -> Any:
    """Return an object that calls a C++ function once per step."""
    body = "\n    ".join(lines)
    step = _array(model.clock.variables["timestep"])
    code = f"double {name}(double called) {{ const int64_t step = {step}[0];\n    {body}\n    return step; }}"
    function = brian2.Function(lambda called: called, arg_units=[1], return_unit=1, stateless=False)
    function.implementations.add_implementation("cpp", code, name=name)
    group = brian2.NeuronGroup(
        1, "called : 1", clock=model.clock, name=f"operator_{name}", namespace={name: function}
    )
    group.run_regularly(f"called = {name}(called)", clock=model.clock, when=when, order=order)
    return group


def learning(model: Model) -> tuple[str, list[str]]:
    """Return how many samples are shown before synapses change, and the statements that change them."""
    glue = _Glue(model)
    if not model.shape.plastic or model.shape.traced:
        return "block.batch", []
    return f"int64_t(block.section<double>({glue.number['together']})[0])", list(glue.learn())


def transfers(model: Model, lanes: int) -> tuple[list[str], list[str]]:
    """Return the statements that load a tile into Brian2's arrays, and those that store it."""
    load, store = [], []
    for index, section in enumerate(layout(model.shape)):
        if section.role not in {"constant", "state"}:
            continue
        array, n = _array(model.variable(section.name)), section.dims[-1]
        kind = section.role
        load.append(f"exchange::load_{kind}<{n}, {lanes}>({array}, {index});")
        if kind == "state" and not model.variable(section.name).constant:
            store.append(f"exchange::store_state<{n}>({array}, {index});")
    return load, store


def _array(variable: Any) -> str:
    return f"brian::{get_device().get_array_name(variable, access_data=True)}"


class _Glue:
    """Writes the calls; what is known of the structure becomes template arguments."""

    def __init__(self, model: Model) -> None:
        self.model, self.shape = model, model.shape
        sections: tuple[Section, ...] = layout(model.shape)
        self.number = {section.name: index for index, section in enumerate(sections)}

    def _variable(self, population: int, name: str) -> str:
        return _array(self.model.populations[population].variables[name])

    def _emissions(self, population: int, first: int, size: int, kind: int = 0) -> str:
        """Return the expression for what a stretch of a population emits."""
        part = self.shape.populations[population]
        arguments = f"<{part.size}, {first}, {size}>"
        if not part.spikes:
            variable = part.parts[kind].code.emission
            return f"exchange::Activity{arguments}{{{self._variable(population, variable)}}}"
        spikes = self._variable(population, f"_{EVENTS[kind]}space")
        return f"exchange::Spikes{arguments}{{{spikes}, {spikes}[{self.model.samples * part.size}]}}"

    def _target(self, post: int, variable: str) -> tuple[str, str]:
        population, first, size = self.shape.place(post)
        arguments = f"{self.shape.populations[population].size}, {first}, {size}"
        return arguments, self._variable(population, variable)

    def drive(self) -> Iterator[str]:
        """Currents that act in their own step; set once where they are constant."""
        if self.shape.drive != "currents":
            return
        source = f"exchange::block().section<double>({self.number['values']})"
        yield "const bool constant = exchange::block().drive_steps == 1;"
        yield "if (step == 0 || !constant) {"
        for population in self.shape.driven:
            size = self.model.samples * self.shape.populations[population].size
            external = self._variable(population, "external")
            yield f"    std::fill({external}, {external} + {size}, 0.0);"
        yield f"    const exchange::Values<{self.shape.inputs}> values{{{source}, constant ? 0 : step}};"
        for index, post in self.shape.currents:
            arguments, external = self._target(post, "external")
            yield (
                f"    exchange::deliver<{self.shape.inputs}, {arguments}>"
                f"(values, {self.number[f'weights{index}']}, {external});"
            )
        yield "}"

    def aim(self) -> Iterator[str]:
        if self.model.controller is not None and self.shape.moves:
            target = _array(self.model.controller.variables["target"])
            yield f"exchange::aim<{self.shape.outputs}>({self.number['course']}, step, {target});"

    def feedback(self) -> Iterator[str]:
        if self.model.controller is None:
            return
        control = _array(self.model.controller.variables["control"])
        if self.shape.gate_points:
            yield from self._relay(control)
            return
        for index, population in enumerate(self.shape.populations):
            yield (
                f"exchange::feed_back<{self.shape.outputs}, {population.size}>"
                f"({control}, {self.number[f'feedback{index}']}, {self._variable(index, 'feedback')});"
            )

    def _relay(self, control: str) -> Iterator[str]:
        """Layered feedback: hidden layers at every refresh, from the output downwards; outputs always."""
        yield f"const int64_t every = exchange::block().section<double>({self.number['refresh_steps']})[0];"
        yield "if (step % every == 0) {"
        passed, above = control, self.shape.outputs
        for layer in reversed(self.shape.relays):
            arguments, feedback = self._target(layer, "feedback")
            n = self.shape.place(layer)[2]
            names = [f"{name}{layer}" for name in ("backward", "gates", "gate_range", "strength", "apical")]
            backward, gates, within, strength, sums = (self.number[name] for name in names)
            seen, apical, onward = (
                _array(self.model.relays[layer - 1].variables[name]) for name in ("seen", "apical", "passed")
            )
            yield f"    exchange::pass_down<{above}, {n}>({passed}, {backward}, {apical});"
            yield f"    exchange::reach<{arguments}>({apical}, {strength}, {feedback});"
            yield (f"    exchange::count_held<{n}>({apical}, {self.number['window']}, {sums}, step, every);")
            if layer > 1:
                yield (
                    f"    exchange::open_gates<{n}, {self.shape.gate_points}>"
                    f"({seen}, {apical}, {gates}, {within}, {onward});"
                )
            passed, above = onward, n
        yield "}"
        arguments, feedback = self._target(self.shape.depth, "feedback")
        total, first, size = arguments.split(", ")
        yield (
            f"exchange::feed_back<{size}, {size}, {total}, {first}>"
            f"({control}, {self.number[f'backward{self.shape.depth}']}, {feedback});"
        )

    def learn_now(self) -> Iterator[str]:
        """Synapses that learn in every step change before they deliver anything."""
        for index, (pre, post, _) in enumerate(self.shape.connections if self._taught else ()):
            arguments, feedback = self._target(post, "feedback")
            numbers = ("window", "tracing", "step_sizes", f"traced{pre}", f"spiked{post}")
            own = (f"weights{index}", f"effect{index}", f"weight_change{index}")
            yield (
                f"exchange::learn_now<{self.shape.size(pre)}, {arguments}>({feedback}, step, {index}, "
                f"{self._hidden(post)}, {self._numbers(*numbers, *own)});"
            )

    def learn_biases(self) -> Iterator[str]:
        """Biases do after the membranes have been advanced, so that these feel it in the next step."""
        for index, (_, post, _) in enumerate(self.shape.connections if self._taught else ()):
            arguments, feedback = self._target(post, "feedback")
            numbers = ("window", "tracing", "step_sizes", f"spiked{post}", f"bias_change{index}")
            bias = self._target(post, "bias")[1]
            yield (
                f"exchange::learn_biases<{arguments}>({feedback}, step, {index}, {self._hidden(post)}, "
                f"{self._numbers(*numbers)}, {bias});"
            )

    def trace(self) -> Iterator[str]:
        """Presynaptic traces take in what is emitted, by the input too."""
        for layer in range(self.shape.depth + 1 if self.shape.traced else 0):
            numbers = self._numbers("tracing", "emission_values", f"traced{layer}", f"spiked{layer}")
            yield (f"exchange::follow<{self.shape.size(layer)}>({self._emitted(layer)}, {layer}, {numbers});")

    @property
    def _taught(self) -> bool:
        """Whether there are feedback currents for synapses to learn from in every step."""
        return self.shape.traced and self.shape.controller

    def _hidden(self, layer: int) -> str:
        return "true" if layer < self.shape.depth else "false"

    def _numbers(self, *names: str) -> str:
        return ", ".join(str(self.number[name]) for name in names)

    def _emitted(self, layer: int) -> str:
        """Return the expression for what a layer emits, or the input."""
        if layer > 0:
            return self._emissions(*self.shape.place(layer))
        size, drive = self.shape.inputs, self.shape.drive
        name, kind = ("raster", "uint8_t") if drive == "spikes" else ("values", "double")
        source = f"exchange::block().section<{kind}>({self.number[name]})"
        if drive == "spikes":
            return f"exchange::Raster<{size}>{{{source}, step}}"
        return f"exchange::Values<{size}>{{{source}, exchange::block().drive_steps == 1 ? 0 : step}}"

    def deliver(self) -> Iterator[str]:
        for index, pre, post, delay in self.shape.carrying:
            arguments, synapse = self._target(post, "synapse")
            size, emissions = self.shape.size(pre), self._emitted(pre)
            weights = self.number[f"weights{index}"]
            if delay == 1:
                yield f"exchange::deliver<{size}, {arguments}>({emissions}, {weights}, {synapse});"
            else:
                yield (
                    f"exchange::deliver_later<{size}, {arguments}, {delay - 1}>"
                    f"({emissions}, {weights}, {self.number[f'history{index}']}, step, {synapse});"
                )

    def readout(self) -> Iterator[str]:
        """The output trace takes in the last layer's emissions."""
        trace = _array(self.model.readout.variables["trace"])
        emissions, gain = self._emitted(self.shape.depth), self.number["trace_gain"]
        yield f"exchange::read_out<{self.shape.outputs}>({emissions}, {gain}, {trace});"

    def watch(self) -> Iterator[str]:
        """Gates see what their layers emit."""
        for layer, group in zip(self.shape.relays, self.model.relays, strict=True):
            emissions, seen = self._emitted(layer), _array(group.variables["seen"])
            size, gain = self.shape.size(layer), self.number[f"seen_gain{layer}"]
            yield f"exchange::read_out<{size}>({emissions}, {gain}, {seen});"

    def count(self) -> Iterator[str]:
        window = self.number["window"]
        for index, population in enumerate(self.shape.populations):
            for kind, name in enumerate(("sums", "basal")[: len(population.parts)]):
                emissions = self._emissions(index, 0, population.size, kind)
                sums = self.number[f"{name}{index}"]
                yield f"exchange::count<{population.size}>({emissions}, {window}, {sums}, step);"
        if self.model.controller is not None:
            k, control = self.shape.outputs, _array(self.model.controller.variables["control"])
            emissions = f"exchange::Activity<{k}, 0, {k}>{{{control}}}"
            yield f"exchange::count<{k}>({emissions}, {window}, {self.number['control_sum']}, step);"

    def learn(self) -> Iterator[str]:
        scales = f"block.section<double>({self.number['scales']})"
        steps = f"block.section<double>({self.number['step_sizes']})"
        for index, (pre, post, _) in enumerate(self.shape.connections):
            population, first, size = self.shape.place(post)
            total = self.shape.populations[population].size
            if pre == 0:
                before = self.shape.inputs
                given = f"block.section<double>({self.number['input_rates']})"
                rates = f"exchange::Given<{before}>{{{given}}}"
            else:
                source, offset, before = self.shape.place(pre)
                n = self.shape.populations[source].size
                sums = (
                    f"block.section<double>({self.number[f'sums{source}']}) + block.chip * block.batch * {n}"
                )
                rates = f"exchange::Summed<{n}, {offset}>{{{sums}, {scales}[{source}]}}"
            names = (
                f"weights{index}",
                f"effect{index}",
                f"weight_change{index}",
                f"population{population}.bias",
                f"bias_change{index}",
            )
            numbers = ", ".join(str(self.number[name]) for name in names)
            counted = f"{self.number[f'sums{population}']}, {self.number[f'basal{population}']}"
            yield (
                f"exchange::learn<{before}, {total}, {first}, {size}>({rates}, from, to, {counted}, "
                f"{scales}[{population}], {steps}[{index}], {numbers});"
            )

    def record(self) -> Iterator[str]:
        for name in self.shape.record:
            if name in {"control", "readout"}:
                yield from self._record_readout(name)
                continue
            for index, population in enumerate(self.shape.populations):
                number = self.number[f"{name}{index}"]
                if name == "spikes":
                    emissions = self._emissions(index, 0, population.size)
                    yield f"exchange::record_emissions<{population.size}>({emissions}, {number}, step);"
                else:
                    variable = self._variable(
                        index, {"voltage": f"{PREFIXES[0]}v", "current": "synapse"}[name]
                    )
                    yield f"exchange::record<{population.size}>({variable}, {number}, step);"

    def _record_readout(self, name: str) -> Iterator[str]:
        group = self.model.controller if name == "control" else self.model.readout
        if group is not None:
            variable = _array(group.variables["control" if name == "control" else "trace"])
            yield f"exchange::record<{self.shape.outputs}>({variable}, {self.number[name]}, step);"
