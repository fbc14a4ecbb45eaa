"""What a user hands over: arrays of any kind, checked and named, as tensors."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rate_bridge.sequences import Samples, Sequences, Series
from root.errors import InputError
from root.seeds import SeedTree
from spiketrain.tasks.base import Answers, TaskData, stratified_split

__all__ = ["Ends", "inputs", "samples", "wanted"]

Kind = Literal["classification", "regression"]


class Ends(NamedTuple):
    """How many inputs and outputs a network has."""

    inputs: int
    outputs: int


def samples(x: Any, y: Any, test: Any, validation: Any, ends: Ends) -> TaskData:
    """Return samples in memory as a task's data.

    Args:
        x: inputs in [0, 1], ``(samples, inputs)``; further axes, as of images, are laid out in one. Samples
            over time are a `Series` or `Events`.
        y: integer labels ``(samples,)``, or wanted outputs in [0, 1], ``(samples, outputs)``, or a `Series`
            of them.
        test: the same two for the tests, or the share of the samples that is held out for them.
        validation: the same two, or None.
        ends: of the network.

    Raises:
        InputError: the first thing that is wrong, with the argument's name.
    """
    train = _pair("x", x, "y", y, ends)
    kind = _kind(train[1])
    if isinstance(test, float) and not isinstance(test, bool):
        train, tests = _held_out(train, test, kind)
    else:
        tests = _named("test", test, ends, kind)
    none = (train[0][:0], train[1][:0])
    held = none if validation is None else _named("validation", validation, ends, kind)
    return TaskData(*train, *tests, *held, classes=ends.outputs, kind=kind)


def inputs(name: str, x: Any, wanted: int) -> Samples:
    """Return inputs as float64, ``(samples, inputs)``, or the samples over time that they are.

    Args:
        name: the argument's name.
        x: what was given.
        wanted: the number of inputs of a sample.
    """
    if isinstance(x, Sequences):
        return _over_time(name, x, wanted)
    values = _numbers(name, x)
    if values.ndim < 2 or values.size == 0:
        raise InputError(name, f"an array of shape {values.shape}", "(samples, inputs), at least one of each")
    flat = values.reshape(len(values), -1).astype(np.float64)
    if flat.shape[1] != wanted:
        laid_out = f", {flat.shape[1]} inputs a sample" if values.ndim > 2 else ""
        fix = "The network says how many: network.layers, the first size."
        raise InputError(
            name, f"an array of shape {values.shape}{laid_out}", f"{wanted} inputs a sample", fix
        )
    _check_finite(name, flat, "input")
    low, high = float(flat.min()), float(flat.max())
    if low < 0.0 or high > 1.0:
        fix = f"{name} / {high:g}" if low >= 0.0 else f"({name} - low) / (high - low), of the training set"
        raise InputError(name, f"values from {low:g} to {high:g}", "values from 0 to 1", fix)
    return torch.from_numpy(flat)


def _over_time(name: str, x: Sequences, wanted: int) -> Sequences:
    """Return samples over time, checked like arrays."""
    if x.inputs != wanted or len(x) == 0:
        given = f"{len(x)} samples of {x.inputs} inputs"
        raise InputError(
            name, given, f"one or more, of {wanted} inputs, as the network and its encoding take"
        )
    if isinstance(x, Series) and not bool(((x.values >= 0) & (x.values <= 1)).all()):
        low, high = float(x.values.min()), float(x.values.max())
        raise InputError(name, f"values from {low:g} to {high:g}", "finite values from 0 to 1")
    return x


def wanted(name: str, y: Any, count: int, outputs: int) -> Answers:
    """Return labels as int64, ``(samples,)``, or wanted outputs as float64, ``(samples, outputs)``.

    A `Series` of wanted outputs is returned as it is.

    Args:
        name: the argument's name.
        y: what was given.
        count: number of samples.
        outputs: the network's number of outputs.
    """
    if isinstance(y, Series):
        if len(y) != count or y.inputs != outputs:
            given = f"{len(y)} series of {y.inputs} outputs"
            raise InputError(name, given, f"{count} series of {outputs} outputs")
        if not bool((y.values.isnan() | ((y.values >= 0) & (y.values <= 1))).all()):
            raise InputError(
                name, "values out of range", "wanted outputs from 0 to 1, NaN where there is none"
            )
        return y
    values = _numbers(name, y)
    if len(values.shape) == 0 or len(values) != count:
        raise InputError(name, f"an array of shape {values.shape}", f"one entry for each of {count} samples")
    if values.ndim == 2 and values.dtype.kind == "f":
        return _regression(name, values, outputs)
    if values.ndim != 1:
        fix = f"{name}.argmax(1), where they are one-hot." if values.ndim == 2 else ""
        allowed = f"integer labels, ({count},), or for a regression numbers in [0, 1], ({count}, {outputs})"
        raise InputError(name, f"an array of shape {values.shape} of {values.dtype}", allowed, fix)
    if values.dtype.kind not in "iub":
        fix = f"numpy.unique({name}, return_inverse=True)[1] numbers them."
        raise InputError(name, f"an array of {values.dtype}", "integer labels 0, 1, ...", fix)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= outputs:
        place = int(np.flatnonzero((values < 0) | (values >= outputs))[0])
        allowed = f"labels from 0 to {outputs - 1}: the network has {outputs} outputs"
        raise InputError(name, f"{values[place]} in sample {place}", allowed)
    return torch.from_numpy(values.astype(np.int64))


def _regression(name: str, values: NDArray[Any], outputs: int) -> Tensor:
    if values.shape[1] != outputs:
        raise InputError(name, f"an array of shape {values.shape}", f"{outputs} wanted outputs a sample")
    _check_finite(name, values, "output")
    if values.min() < 0.0 or values.max() > 1.0:
        given = f"values from {values.min():g} to {values.max():g}"
        raise InputError(name, given, "wanted outputs from 0 to 1")
    return torch.from_numpy(values.astype(np.float64))


def _kind(y: Answers) -> Kind:
    return "classification" if isinstance(y, Tensor) and y.ndim == 1 else "regression"


def _pair(x_name: str, x: Any, y_name: str, y: Any, ends: Ends) -> tuple[Samples, Answers]:
    found = inputs(x_name, x, ends.inputs)
    return found, wanted(y_name, y, len(found), ends.outputs)


def _named(name: str, pair: Any, ends: Ends, kind: Kind) -> tuple[Samples, Answers]:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        shares = " or a share of the samples such as 0.2" if name == "test" else ""
        shown = pair if pair is None or isinstance(pair, int | float | str) else type(pair).__name__
        raise InputError(name, shown, f"a pair of arrays (x, y){shares}")
    found = _pair(f"{name}[0]", pair[0], f"{name}[1]", pair[1], ends)
    if _kind(found[1]) != kind:
        raise InputError(f"{name}[1]", f"a {_kind(found[1])}", f"a {kind}, as y is")
    return found


def _held_out(
    pair: tuple[Samples, Answers], share: float, kind: Kind
) -> tuple[tuple[Samples, Answers], tuple[Samples, Answers]]:
    if not 0.0 < share < 1.0:
        raise InputError("test", share, "a pair of arrays (x, y), or a share between 0 and 1")
    x, y = pair
    labels = y.numpy() if isinstance(y, Tensor) and kind == "classification" else np.zeros(len(y), np.int64)
    keep, held = stratified_split(labels, share, SeedTree(0).child("test split").generator(), "test")
    return (x[keep], y[keep]), (x[held], y[held])


def _numbers(name: str, given: Any) -> NDArray[Any]:
    """Return an array of real numbers, whatever held them."""
    if given is None:
        raise InputError(name, None, "an array")
    try:
        values = _as_array(given)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(name, type(given).__name__, "an array of numbers", str(error)) from None
    if values.dtype.kind not in "fiub":
        what = "objects" if values.dtype.kind == "O" else f"{values.dtype}"
        raise InputError(name, f"an array of {what}, shape {values.shape}", "an array of real numbers")
    return values


def _as_array(given: Any) -> NDArray[Any]:
    if isinstance(given, Tensor):
        plain = given.detach().cpu()
        return np.asarray((plain.to(torch.float64) if plain.is_floating_point() else plain).numpy())
    if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
        raise ValueError("values are masked: fill them in, or drop their samples")
    if hasattr(given, "to_numpy"):
        return np.asarray(given.to_numpy())
    return np.asarray(given)


def _check_finite(name: str, values: NDArray[Any], axis: str) -> None:
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0].tolist()
        fix = "Drop such samples, or fill them in."
        raise InputError(
            name, f"{values[row, column]} in sample {row}, {axis} {column}", "finite numbers", fix
        )
