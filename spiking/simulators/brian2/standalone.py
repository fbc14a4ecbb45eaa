"""Run a built program: one file of shared memory, in and out, that has no name and so leaves nothing."""

from __future__ import annotations

import math
import mmap
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from root.errors import SimulationError
from spiking.simulators.brian2.layout import Section, layout
from spiking.simulators.brian2.shape import Shape

__all__ = ["run_program"]

NUMBERS = 5
"""Chips, batch, steps, steps of the drive, and dt, before the offsets of the sections."""

LINE = 64
"""Sections start at multiples of this, in bytes."""


def run_program(
    program: Path, shape: Shape, data: Mapping[str, Tensor], sizes: Mapping[str, int], dt_ms: float
) -> dict[str, Tensor]:
    """Run `program` on `data` and return its states and outputs.

    Args:
        program: as `cache.program` built it.
        shape: its structure.
        data: constants, states and inputs, as `data.arrays` made them.
        sizes: chips, batch, steps and steps of the drive.
        dt_ms: time step.

    Raises:
        SimulationError: the program failed.
    """
    sections = layout(shape)
    extents = [section.shape(**sizes) for section in sections]
    offsets, end = [], LINE * math.ceil(8 * (NUMBERS + len(sections)) / LINE)
    for section, extent in zip(sections, extents, strict=True):
        offsets.append(end)
        end += LINE * math.ceil(math.prod(extent) * np.dtype(section.dtype).itemsize / LINE)
    with tempfile.TemporaryFile() as file:
        file.truncate(end)
        memory = mmap.mmap(file.fileno(), end)
        header = np.frombuffer(memory, np.int64, NUMBERS + len(sections))
        header[:4] = [sizes[name] for name in ("chips", "batch", "steps", "drive_steps")]
        header[4:5].view(np.float64)[0] = dt_ms / 1000
        header[NUMBERS:] = offsets
        views = {
            section.name: _view(memory, section, extent, offset)
            for section, extent, offset in zip(sections, extents, offsets, strict=True)
        }
        for section in sections:
            if section.role != "output":
                views[section.name].copy_(_fitting(section, data[section.name]))
        _start(program, file.fileno(), end)
        return {
            section.name: views[section.name].clone()
            for section in sections
            if section.role in {"state", "output"} or section.name.startswith("history")
        }


def _view(memory: mmap.mmap, section: Section, extent: tuple[int, ...], offset: int) -> Tensor:
    array = np.frombuffer(memory, section.dtype, math.prod(extent), offset)
    return torch.from_numpy(array).view(extent)


def _fitting(section: Section, value: Tensor) -> Tensor:
    """Return `value` so that it expands to the section's shape."""
    return value if value.ndim in {0, len(section.dims)} else value.reshape(-1, *value.shape)


def _start(program: Path, descriptor: int, size: int) -> None:
    command = [str(program), str(descriptor), str(size)]
    done = subprocess.run(
        command, pass_fds=(descriptor,), cwd=program.parent, capture_output=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace")[-2000:]
        raise SimulationError(f"Brian2's program stopped with exit status {done.returncode}:\n{said}")
