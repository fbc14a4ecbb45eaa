"""Samples that somebody has in memory, and the one file that keeps them beside their run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from rate_bridge.sequences import Form, Samples, Sequences, Series
from root.arrays import Header
from root.errors import InputError
from root.files import read_regular
from spiketrain.record.files import tensor_bytes
from spiketrain.tasks.base import Task, TaskData
from spiketrain.tasks.files import MEMORY_BYTES, afford, locate
from spiketrain.tasks.kept import kept_samples, parts_of
from spiking import tensor_files

__all__ = ["Arrays", "Given"]

FILE = "data.safetensors"
"""What the file is called in the folder of a run."""

FIELDS = tuple(f"{axis}_{part}" for part in ("train", "test", "val") for axis in ("x", "y"))


@final
@dataclass(frozen=True)
class Arrays(Task):
    """The samples of a run that was given arrays: `spiketrain.load(...).fit(x, y)` writes this section.

    Args:
        file: where the run keeps them; in a config file, relative to its folder.
        copy: whether the folder of a run gets a copy; without, it refers to the file where it is.
    """

    file: str = FILE
    copy: bool = True

    anchored: ClassVar[tuple[str, ...]] = ("file",)
    form: ClassVar[Form | None] = None

    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        content = self._content()
        allowed = "the samples of a run, as fit(x, y) keeps them"
        tensors, texts = tensor_files.tensors_of(content, self.file, "task.file")
        afford(self.file, {name: _header(value) for name, value in tensors.items()}, memory_bytes)
        try:
            note = json.loads(texts["json"])
            kind, classes = note["kind"], note["classes"]
            values = kept_samples(tensors, note.get("over_time", {}))
            _check(values, kind, classes)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError("task.file", self.file, allowed, str(error)) from None
        wanted = torch.int64 if kind == "classification" else torch.float64
        types = {"x": torch.float64, "y": wanted}
        ready: dict[str, Any] = {
            name: value.to(types[name[0]]) if isinstance(value, Tensor) else value
            for name, value in values.items()
        }
        return TaskData(**ready, classes=classes, kind=kind, sha256=_checksum(content))

    def copies(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        return ({"file": FILE}, {FILE: self._content()}) if self.copy else ({}, {})

    def _content(self) -> bytes:
        path = locate(self.file, None, "task.file")
        return read_regular(path, "task.file", "file of samples", tensor_files.MAX_BYTES)


@final
@dataclass(frozen=True)
class Given:
    """Samples in memory that a run takes instead of reading its task's.

    Args:
        data: the samples.
    """

    data: TaskData

    @cached_property
    def content(self) -> bytes:
        """The file that keeps them."""
        tensors, over_time = dict[str, Tensor](), dict[str, dict[str, float]]()
        for name in FIELDS:
            value = getattr(self.data, name)
            if isinstance(value, Tensor):
                tensors[name] = _narrow(value)
                continue
            parts, over_time[name] = parts_of(value)
            tensors |= {f"{name}.{part}": _narrow(tensor) for part, tensor in parts.items()}
        note = {"classes": self.data.classes, "kind": self.data.kind}
        return tensor_bytes(tensors, note | ({"over_time": over_time} if over_time else {}))

    @property
    def task(self) -> dict[str, str]:
        """The section of the config that stands for them."""
        return {"name": "arrays", "file": FILE, "sha256": _checksum(self.content)}

    @property
    def files(self) -> Mapping[str, bytes]:
        """What a run keeps beside its config."""
        return {FILE: self.content}


def _header(values: Tensor) -> Header:
    return Header(tuple(values.shape), np.dtype((np.void, values.element_size())))


def _check(values: Mapping[str, Samples], kind: object, classes: object) -> None:
    """Raise `ValueError` where tensors are not the samples of a task."""
    if kind not in ("classification", "regression") or type(classes) is not int or classes < 1:
        raise ValueError(f"It is said to be a {kind} of {classes} classes.")
    for part in ("train", "test", "val"):
        x, y = values[f"x_{part}"], values[f"y_{part}"]
        _check_inputs(part, x, values["x_train"])
        if isinstance(y, Tensor):
            _check_answers(part, y, len(x), kind == "classification", classes)
        else:
            _check_moving(part, y, len(x), classes)


def _check_inputs(part: str, x: Samples, first: Samples) -> None:
    if not isinstance(x, Tensor):  # its form and its inputs are looked at where all samples meet
        if isinstance(x, Series) and not _within(x.values, 1):
            raise ValueError(f"x_{part} has values out of range.")
        return
    if x.ndim != 2 or not isinstance(first, Tensor) or x.shape[1:] != first.shape[1:]:
        raise ValueError(f"x_{part} {tuple(x.shape)} does not fit.")
    if not x.is_floating_point():
        raise ValueError(f"x_{part} is {x.dtype}.")
    if not _within(x, 1):
        raise ValueError(f"x_{part} has values out of range.")


def _check_answers(part: str, y: Tensor, samples: int, labels: bool, classes: int) -> None:
    if tuple(y.shape) != ((samples,) if labels else (samples, classes)):
        raise ValueError(f"y_{part} {tuple(y.shape)} does not fit.")
    if y.is_floating_point() == labels:
        raise ValueError(f"y_{part} is {y.dtype}.")
    if not _within(y, classes - 1 if labels else 1):
        raise ValueError(f"y_{part} has values out of range.")


def _check_moving(part: str, y: Sequences, samples: int, classes: int) -> None:
    if not isinstance(y, Series) or len(y) != samples or y.inputs != classes:
        raise ValueError(f"y_{part} is no series of {classes} outputs for each of {samples} samples.")
    if not _within(y.values[~y.values.isnan()], 1):
        raise ValueError(f"y_{part} has values out of range.")


def _within(values: Tensor, top: int) -> bool:
    return bool(((values >= 0) & (values <= top)).all())


def _narrow(values: Tensor) -> Tensor:
    """Return the same numbers in half the space, where they fit."""
    if values.dtype != torch.float64:
        return values
    half = values.to(torch.float32)
    return half if torch.equal(half.to(torch.float64), values) else values


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
