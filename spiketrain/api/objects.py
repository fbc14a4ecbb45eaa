"""Parts as objects: what a config would say about them, and how to give a class of one's own a name."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, overload

import numpy as np
from torch import Tensor

from root import plugins
from root.errors import InputError
from spiketrain.api.sections import Section
from spiketrain.config import building

__all__ = ["plain", "register"]

Class = TypeVar("Class", bound=type)

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Kind(NamedTuple):
    """A kind of part.

    Args:
        base: the abstract class.
        group: its group of entry points.
        name_key: the key of a config that names the part; None where the key above it does.
        fields: whether it is a dataclass whose fields are its keys, and not a class whose arguments are.
    """

    base: type
    group: str
    name_key: str | None
    fields: bool = True


@cache
def kinds() -> tuple[Kind, ...]:
    """Return the kinds of parts that can be given as objects, or as classes of one's own."""
    from learning.feedback_control.feedback_weights import FeedbackWeights  # noqa: PLC0415 (when needed)
    from learning.feedback_control.gates import Gate  # noqa: PLC0415
    from learning.feedback_control.prediction import Prediction  # noqa: PLC0415
    from learning.losses import Loss  # noqa: PLC0415
    from learning.optimizers import Optimizer  # noqa: PLC0415
    from learning.rule import LearningRule  # noqa: PLC0415
    from mismatch.distributions.base import Distribution  # noqa: PLC0415
    from mismatch.imperfections.base import Imperfection  # noqa: PLC0415
    from rate_bridge.encodings import Encoding  # noqa: PLC0415
    from spiketrain.arms.base import Arm  # noqa: PLC0415
    from spiketrain.tasks.augmentations import Augmentation  # noqa: PLC0415
    from spiketrain.tasks.base import Task  # noqa: PLC0415
    from spiketrain.tracking.base import Tracker  # noqa: PLC0415
    from spiking.connections import Pattern  # noqa: PLC0415
    from spiking.feedback import FeedbackPath  # noqa: PLC0415
    from spiking.neurons.base import Neuron  # noqa: PLC0415
    from spiking.simulators.base import Simulator  # noqa: PLC0415

    return (
        Kind(LearningRule, "rules", "name"),
        Kind(Neuron, "neurons", "model"),
        Kind(Distribution, "distributions", "distribution"),
        Kind(Task, "tasks", "name"),
        Kind(Encoding, "encodings", "name"),
        Kind(Optimizer, "optimizers", "name"),
        Kind(Tracker, "trackers", "name"),
        Kind(Augmentation, "augmentations", "name"),
        Kind(Arm, "arms", "name"),
        Kind(Loss, "losses", "name"),
        Kind(Prediction, "predictions", "name"),
        Kind(FeedbackWeights, "feedback", "name"),
        Kind(Gate, "gates", "name"),
        Kind(FeedbackPath, "feedback_paths", "name"),
        Kind(Pattern, "connections", "kind"),
        Kind(Simulator, "simulators", "name", fields=False),
        Kind(Imperfection, "imperfections", None),
    )


def plain(value: Any, key: str) -> Any:
    """Return `value` as a config says it: parts become mappings, numpy and torch numbers plain ones.

    Args:
        value: a text, number, list, mapping, or a part such as ``LIF(bias=1.0)``.
        key: where it stands, to blame.

    Raises:
        InputError: it is none of these.
    """
    if value is None or isinstance(value, bool | int | float | str | Path):
        return str(value) if isinstance(value, Path) else value
    if isinstance(value, np.generic | Tensor | np.ndarray):
        return plain(value.tolist(), key)
    if isinstance(value, Mapping):
        return {
            _text(name, key): plain(inner, f"{key}.{name}" if key else str(name))
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple | range):
        return [plain(inner, f"{key}[{index}]") for index, inner in enumerate(value)]
    if isinstance(value, Section):
        return _section(value, key)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _described(value, key)
    fix = "An object, not its class: add parentheses." if isinstance(value, type) else ""
    raise InputError(key, value, "a text, a number, a list, a mapping, or a part such as LIF(bias=1.0)", fix)


def _section(section: Section, key: str) -> dict[str, Any]:
    """Return what a section says; a part of it that is only named is its name."""
    said: dict[str, Any] = plain(section.said, key)
    for argument, name_key in section.beside.items():
        part = said.pop(argument, {})
        said |= part if isinstance(part, dict) else {name_key: part}
    return said


def _text(name: Any, key: str) -> str:
    if not isinstance(name, str):
        raise InputError(key or "changes", name, "keys that are texts")
    return name


def _described(part: Any, key: str) -> dict[str, Any]:
    own: dict[str, Any] = building.fields_of(part, defaults=False)
    for kind in kinds():
        if isinstance(part, kind.base):
            if kind.name_key is None:
                return own
            name = plugins.name_of(kind.group, type(part))
            if name is None:
                fix = f"spiketrain.register({type(part).__name__}) gives it a name."
                raise InputError(key, part, f"one of the known {kind.group}", fix)
            return {kind.name_key: name, **own}
    return own


@overload
def register(part: Class, *, name: str | None = None) -> Class: ...
@overload
def register(part: None = None, *, name: str | None = None) -> Callable[[Class], Class]: ...
def register(part: Any = None, *, name: str | None = None) -> Any:
    """Give a class of one's own a name that configs know in this process: a rule, a neuron, a task, ...

    A function or a decorator. What kind of part it is follows from the class that it extends; a second
    class of the same name, as when a notebook's cell is run again, replaces the first. A package registers
    its parts as entry points instead: other processes know them too.

    Args:
        part: a concrete frozen dataclass that extends ``LearningRule``, ``Neuron``, ``Pattern`` (a kind of
            connection), ``Distribution``, ``Task``, ``Encoding``, ``Optimizer`` or another of the abstract
            classes, its fields being its keys; or a class that extends ``Simulator``.
        name: what a config says; by default the class's own ``name``, ``model`` or ``origin``, or else its
            name in lower case with underscores.

    Returns:
        the class.

    Raises:
        InputError: it is no such class, or a part that is installed has the name.
    """
    if part is None:
        return lambda later: register(later, name=name)
    if not isinstance(part, type):
        raise InputError("part", part, "a class, not an object")
    kind = next((kind for kind in kinds() if issubclass(part, kind.base)), None)
    if kind is None:
        bases = ", ".join(kind.base.__name__ for kind in kinds())
        raise InputError("part", part.__name__, f"a class that extends {bases}")
    if kind.fields and not dataclasses.is_dataclass(part):
        raise InputError(
            "part", part.__name__, "a dataclass: its fields are its keys", "@dataclass(frozen=True)"
        )
    if inspect.isabstract(part):
        missing = ", ".join(sorted(getattr(part, "__abstractmethods__", ())))
        raise InputError("part", part.__name__, f"a class that defines {missing} too")
    plugins.register(kind.group, _called(part, name), part)
    return part


def _called(part: type, name: str | None) -> str:
    own = name
    for attribute in ("name", "model", "origin"):
        said = vars(part).get(attribute)
        own = said if own is None and isinstance(said, str) else own
    own = own if own is not None else re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", part.__name__).lower()
    if not isinstance(own, str) or not NAME.fullmatch(own):
        raise InputError("name", own, "lower-case letters, digits and underscores, a letter first")
    return own
