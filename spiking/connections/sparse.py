"""Synapses as a file lists them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from torch import Tensor

from root.errors import InputError
from root.files import checksum
from spiking.connections.base import Axes, Pattern, Synapses, Wiring
from spiking.tensor_files import read_tensors

__all__ = ["Sparse"]


@final
@dataclass(frozen=True)
class Sparse(Pattern):
    """The synapses that a file lists, each with a weight of its own, sorted by pre, then post: w is ``(S,)``.

    Args:
        file: safetensors with ``pre`` and ``post``, ``(S,)``, whole numbers from 0.
        sha256: checksum of these numbers, written into what a run keeps; others are refused.
    """

    file: str
    sha256: str | None = None

    origin: ClassVar[str] = "sparse"

    def __post_init__(self) -> None:
        found = checksum({name: value.numpy() for name, value in self.ends.items()})
        if self.sha256 not in (None, found):
            fix = "The file has changed; without this key it is taken as it is now."
            raise InputError("sha256", self.sha256, f"{found}, that of {self.file}", fix)
        object.__setattr__(self, "sha256", found)

    @cached_property
    def ends(self) -> dict[str, Tensor]:
        """Both ends of every synapse."""
        tensors, _ = read_tensors(Path(self.file), "file")
        found = {}
        for name in ("pre", "post"):
            value = tensors.get(name)
            if value is None or value.ndim != 1 or value.is_floating_point() or value.is_complex():
                given = f"{name}: {'nothing' if value is None else f'{value.dtype} of {tuple(value.shape)}'}"
                raise InputError("file", given, "pre and post, each a row of whole numbers")
            found[name] = value.long()
        if len(found["pre"]) != len(found["post"]) or not len(found["pre"]):
            given = f"{len(found['pre'])} before and {len(found['post'])} behind"
            raise InputError("file", given, "as many of both, one or more")
        return found

    def between(self, pre: Axes, post: Axes) -> Synapses:
        sizes = {"pre": math.prod(pre), "post": math.prod(post)}
        for name, size in sizes.items():
            low, high = int(self.ends[name].min()), int(self.ends[name].max())
            if low < 0 or high >= size:
                allowed = f"neurons from 0 to {size - 1}, the last of its population"
                raise InputError("file", f"{name}: from {low} to {high}", allowed)
        before, behind = (self.ends[name].numpy() for name in ("pre", "post"))
        places = before * sizes["post"] + behind
        if len(np.unique(places)) != len(places):
            raise InputError("file", "two synapses between the same neurons", "one for every pair")
        order = np.argsort(places)
        number = np.arange(len(places), dtype=np.int64)
        wire = partial(Wiring.of, before[order], behind[order], number)
        return Synapses((len(places),), sizes["pre"], sizes["post"], wire)
