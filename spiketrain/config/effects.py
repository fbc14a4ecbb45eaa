"""Options without effect, all in one list: whatever a config says and nothing would come of is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NoReturn

from learning.rule import LearningRule
from mismatch.spec import MismatchSpec
from root.errors import InputError
from spiketrain.config.design import Design
from spiking.network import Network
from spiking.neurons.base import Neuron
from spiking.simulators.base import Simulator

__all__ = ["check_effects", "check_part", "refuse"]

CONTROLLED = ("feedback", "kp", "ki", "readout_gain", "readout_offset")
"""Deviations that only a closed loop can feel."""


def check_effects(
    experiment: Design, task: Any, spec: MismatchSpec, rule: LearningRule, simulator: Simulator
) -> None:
    """Raise `InputError` for the first option that was changed and does nothing.

    Args:
        experiment: the configuration.
        task: built from it, like the rest.
        spec: what deviates.
        rule: how it is learned.
        simulator: the machine.
    """
    parts: dict[str, Any] = {
        "task": task,
        "rule": rule,
        "bridge.encoding": experiment.build_encoding(),
        "training.optimizer": experiment.build_optimizer(),
        **{
            f"mismatch.{name}": kind for name, kind in (*spec.deviations.items(), *spec.imperfections.items())
        },
    }
    for key, part in parts.items():
        check_part(key, part)
    _check_network(experiment, simulator)
    _check_training(experiment, task)
    _check_mismatch(spec, rule, simulator)


def check_part(key: str, part: Any) -> None:
    """Ask a part which of its options do nothing; only those that were changed are refused.

    A part may have a method ``without_effect()`` that yields pairs of a field (dotted where it is
    nested) and the reason why it has no effect.
    """
    hook = getattr(part, "without_effect", None)
    _check_options(key, part, hook() if hook else iter(()))


def _check_options(key: str, part: Any, idle: Iterator[tuple[str, str]]) -> None:
    for name, reason in idle:
        given, default = _value_and_default(part, name.split("."))
        if given != default:
            refuse(f"{key}.{name}", given, default, reason)


def _value_and_default(part: Any, steps: list[str]) -> tuple[Any, Any]:
    for step in steps[:-1]:
        part = getattr(part, step)
    field = next(f for f in dataclasses.fields(part) if f.name == steps[-1])
    factory = field.default_factory
    default = field.default if factory is dataclasses.MISSING else factory()
    return getattr(part, field.name), default


def _check_network(experiment: Design, simulator: Simulator) -> None:
    """Refuse times of neurons and connections that come to nothing."""
    dt_ms = experiment.simulator.dt_ms
    for key, (_, part) in experiment.network.parts().items():
        if isinstance(part, Neuron):
            _check_options(f"network.{key}", part, part.without_effect(dt_ms))
    network = experiment.build_network()
    if all(connection.delay_steps == 1 for connection in network.connections):
        return
    if "delay" in simulator.ignores:
        delays = [c.delay_steps * dt_ms for c in network.connections]
        refuse(
            "network.delay_ms", delays, None, f"the simulator {simulator.name} computes what stays in the end"
        )
    direct = experiment.build_encoding().kind == "current"
    first = [network.connections[index] for index in network.from_input]
    late = next((connection for connection in first if connection.delay_steps > 1), None)
    if direct and late is not None and late.name:
        key, reason = f"network.connections.{late.name}.delay_ms", "input currents act at once"
        refuse(key, late.delay_steps * dt_ms, None, reason)
    if direct and network.connections[0].delay_steps > 1:
        given = network.connections[0].delay_steps * dt_ms
        reason = "input currents act at once, without the delay of their connection"
        if network.depth == 1 or isinstance(getattr(experiment.network, "delay_ms", None), tuple):
            refuse("network.delay_ms", given, dt_ms, f"{reason} (the first)")
    for test in (False, True):
        _check_arrival(network, experiment.simulator.steps(test=test)[0], direct, "test_" if test else "")


def _check_arrival(network: Network, steps: int, direct: bool, prefix: str) -> None:
    """Refuse delays with which no input reaches the output, or nothing a layer, within a presentation."""
    chain = network.connections[1 if direct else 0 : network.depth]
    longest = max((c.delay_steps for c in network.connections[network.depth :]), default=0)
    total = max(sum(c.delay_steps for c in chain), longest)
    if total >= steps:
        given = f"{total} steps ({total * network.dt_ms:g} ms) from the input to the output"
        allowed = (
            f"less than simulator.{prefix}presentation_ms, {steps} steps: later no input arrives any more"
        )
        raise InputError("network.delay_ms", given, allowed)


def _check_training(experiment: Design, task: Any) -> None:
    training = experiment.training
    if training.hidden_scale != 1.0 and experiment.build_network().depth == 1:
        refuse("training.hidden_scale", training.hidden_scale, 1.0, "there is no hidden layer")
    if training.validation and task.own_validation:
        reason = f"the task {experiment.task.name} has a validation set of its own"
        refuse("training.validation", training.validation, 0.0, reason)
    guard = training.guard
    if guard is not None and guard.residual is None and guard.fall is None:
        fix = "Set residual or fall, or leave the guard out."
        raise InputError("training.guard", guard.model_dump(), "a guard that does something", fix)
    if guard is not None and guard.fall is None and guard.back_off != 0.5:
        refuse("training.guard.back_off", guard.back_off, 0.5, "without fall no chip is set back")


def _check_mismatch(spec: MismatchSpec, rule: LearningRule, simulator: Simulator) -> None:
    for name in sorted(simulator.ignores & set(spec.deviations)):
        fix = "Remove the key, or take another simulator."
        raise InputError(
            f"mismatch.{name}", spec.deviations[name], f"nothing: {simulator.name} ignores it", fix
        )
    if not rule.uses_shadow and spec.shadow != "own":
        refuse("mismatch.shadow", spec.shadow, "own", "the rule does not use shadow membranes")
    if spec.shadow_share != 1.0 and not (rule.uses_shadow and spec.shadow == "own"):
        refuse("mismatch.shadow_share", spec.shadow_share, 1.0, "no shadow deviates")
    for name in CONTROLLED:
        if name in spec.deviations and not rule.uses_feedback:
            given = spec.deviations[name]
            raise InputError(f"mismatch.{name}", given, "nothing: the rule closes no loop", "Remove the key.")


def refuse(key: str, given: Any, default: Any, reason: str) -> NoReturn:
    """Raise the `InputError` of an option that does nothing.

    Args:
        key: which.
        given: its value.
        default: the value that is allowed.
        reason: why it has no effect.
    """
    raise InputError(
        key, given, f"{default!r} (the default): {reason}", "An option without effect is refused."
    )
