"""What is installed here, which simulators work, and what to do where one does not."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import final

from root.plugins import available, load

__all__ = ["Finding", "examine"]

COMPILERS = ("g++", "clang++", "c++")


@final
@dataclass(frozen=True)
class Finding:
    """Something that was looked at.

    Args:
        name: what it is.
        works: whether it can be used.
        text: its version and what else is known, or what to do.
    """

    name: str
    works: bool
    text: str


def examine() -> list[Finding]:
    """Return what was found: Python, packages, compiler, device, simulators and other parts."""
    return [*_machine(), *_packages(), _compiler(), _device(), *_simulators(), *_parts()]


def _machine() -> Iterator[Finding]:
    supported = (3, 11) <= sys.version_info[:2] < (3, 14)
    fix = "" if supported else ": use Python 3.11 to 3.13"
    yield Finding("python", supported, f"{platform.python_version()} on {platform.platform()}{fix}")
    yield Finding("processor", True, f"{os.cpu_count()} cores, {platform.machine()}")


def _packages() -> Iterator[Finding]:
    """Yield the packages that the project declares, but for the developers' tools."""
    for requirement in requires("spiketrain") or []:
        if "extra ==" in requirement:
            continue
        name = "".join(c if c.isalnum() or c in "-_" else " " for c in requirement).split()[0]
        try:
            yield Finding(name, True, version(name))
        except PackageNotFoundError:
            yield Finding(name, False, f"missing: pip install '{requirement}'")


def _compiler() -> Finding:
    found = next((path for name in COMPILERS if (path := shutil.which(name))), None)
    make = shutil.which("make")
    if found and make:
        return Finding("C++ compiler", True, f"{found}, {make}")
    missing = "C++ compiler" if not found else "make"
    fix = "apt-get install g++ make, dnf install gcc-c++ make, or xcode-select --install"
    return Finding("C++ compiler", False, f"no {missing}; Brian2 builds its fast programs with both: {fix}")


def _device() -> Finding:
    from spiketrain.gain import gained  # noqa: PLC0415 (slow to import)
    from spiking.simulators.cuda.card import driver, why_not  # noqa: PLC0415

    if reason := why_not():
        return Finding("GPU", True, f"none that can be used: {reason}; everything runs on the processor")
    try:
        return Finding("GPU", True, f"{driver().name(0)}; {gained()}")
    except Exception as error:  # a card that is there and does not work is what is to be found
        return Finding("GPU", False, f"{driver().name(0)}: {type(error).__name__}: {error}")


def _simulators() -> Iterator[Finding]:
    """Ask every registered simulator."""
    for name in available("simulators"):
        try:
            works, text = load("simulators", name).status()
        except Exception as error:  # whatever is wrong with it is the finding
            works, text = False, f"cannot be imported: {type(error).__name__}: {error}"
        yield Finding(f"simulator {name}", works, text)


def _parts() -> Iterator[Finding]:
    for group in (
        "tasks",
        "neurons",
        "distributions",
        "encodings",
        "rules",
        "optimizers",
        "augmentations",
        "trackers",
    ):
        yield Finding(group, True, ", ".join(available(group)))
