"""A file of another program as a config that trains its network, with what was found and what was lost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from root.errors import InputError, printable
from spiketrain.record.files import write_yaml
from spiking.network import Clock
from spiking.nir import NIRFile, Reading, Stored

__all__ = ["Imported", "import_nir"]

MAX_RATE_HZ = 100.0

TASKS = {(64, 10): "digits", (4, 3): "yinyang"}
"""The tasks that come with the package and need no data, by inputs and outputs."""

DATA = "YOUR_DATA.npz"


@final
@dataclass(frozen=True)
class Imported:
    """What a file holds.

    Args:
        found: what it is, a line each.
        lost: what could not be kept, or had to be guessed, a sentence each.
        config: the config that uses it.
        path: where the config was written.
        needs: what is left to do before it can be trained; empty for nothing.
    """

    found: list[str]
    lost: list[str]
    config: dict[str, Any]
    path: Path
    needs: str = ""


def import_nir(
    file: Path, path: Path | None = None, *, reading: Reading | None = None, dt_ms: float | None = None
) -> Imported:
    """Read a NIR file, or one of lava-dl, and write a config that trains its network.

    Args:
        file: the file.
        path: of the config; by default beside the file, with its name.
        reading: how another program's graph is meant; by default as NIR's equations have it.
        dt_ms: the time step; by default the file's own, or the likely one.

    Raises:
        InputError: it cannot be read, or the config is there already.
        UnsupportedError: no network here can be it.
    """
    target = path or file.with_suffix(".yaml")
    if target.exists():
        fix = "Remove it, or say another one with --output."
        raise InputError("--output", str(target), "a file that is not there yet", fix)
    source = NIRFile(file)
    clock = source.clock or _clock(source, dt_ms)
    if source.clock is not None and dt_ms not in (None, clock.dt_ms):
        raise InputError("--dt-ms", dt_ms, f"{clock.dt_ms:g}, which the file says")
    chip = source.chip(clock, reading)
    config = _config(file, target, chip, clock, reading or Reading())
    guessed = []
    if source.clock is None and dt_ms is None:
        guessed.append(f"the time step: {clock.dt_ms:g} ms is a guess (--dt-ms)")
    if source.clock is None and reading is None:
        guessed.append(
            "how it is solved: snnTorch, Norse and SpikingJelly take Euler's method (--solver euler)"
        )
    write_yaml(target, config)
    nodes = ", ".join(f"{count} {kind}" for kind, count in source.nodes.items())
    found = [printable(line) for line in (f"{source.kind}: {nodes}", *_described(chip))]
    sizes = f"{chip.network.inputs} inputs and {chip.network.outputs} outputs"
    needs = f"say your data in its section task: {sizes}" if config["task"].get("file") == DATA else ""
    return Imported(found, [printable(note) for note in (*guessed, *chip.notes)], config, target, needs)


def _clock(source: NIRFile, dt_ms: float | None) -> Clock:
    step = dt_ms or source.likely_dt_ms
    if not 1e-3 <= step <= 1e3:
        raise InputError("--dt-ms", step, "ms, from 0.001 to 1000")
    # one spike a step is as much as there can be
    return Clock(step, min(MAX_RATE_HZ, 1e3 / step))


def _described(chip: Stored) -> list[str]:
    network = chip.network
    line = f"{network.inputs} inputs"
    for connection, layer in zip(network.connections, network.layers, strict=False):
        kind = connection.pattern.origin
        way = {"dense": " -> ", "none": " | "}.get(kind, f" -> {kind} ")
        line += f"{way}{layer.size} {layer.neuron.model}"
    beside = len(network.connections) - network.depth
    lines = [line]
    if beside:
        lines.append(f"{beside} more connection{'s' if beside > 1 else ''}, within layers or over several")
    return lines


def _config(file: Path, target: Path, chip: Stored, clock: Clock, reading: Reading) -> dict[str, Any]:
    """Return a config that trains the network: what the file says, and a rule that can."""
    try:
        name = str(file.absolute().relative_to(target.absolute().parent))
    except ValueError:
        name = str(file.absolute())
    network = {"nir": name}
    for key in ("solver", "reset"):
        if getattr(reading, key) != getattr(Reading(), key):
            network[key] = getattr(reading, key)
    return {
        "name": "".join(c if c.isalnum() or c in "-_" else "_" for c in file.stem)[:60] or "imported",
        "network": network,
        "task": _task(chip),
        "bridge": {"max_rate_hz": clock.max_rate_hz, "readout_tau_ms": clock.readout_tau_ms},
        "rule": _rule(chip),
        "simulator": {"name": "torch", "dt_ms": clock.dt_ms, **_presentation(clock)},
        "training": {"epochs": 5, "batch": 32, "optimizer": "adam", "learning_rate": 0.003},
    }


def _task(chip: Stored) -> dict[str, Any]:
    """Return a task of these sizes; the user's own data where none that comes with the package has them."""
    sizes = (chip.network.inputs, chip.network.outputs)
    return {"name": TASKS[sizes]} if sizes in TASKS else {"name": "npz", "file": DATA}


def _rule(chip: Stored) -> dict[str, Any]:
    """Return a rule for the network: DFC for a chain of spiking neurons, else one that any network has."""
    network = chip.network
    plain = len(network.connections) == network.depth
    if plain and all(layer.neuron.emits_spikes for layer in network.layers):
        feedback = {"name": "weight_product", "scale": 0.05}
        controller = {"kp": 0.3, "ki_per_ms": 0.0, "trace_at_target": True}
        return {
            "name": "dfc",
            "prediction": "none",
            "gate": "slope",
            "feedback": feedback,
            "controller": controller,
        }
    return {"name": "readout_only"}


def _presentation(clock: Clock) -> dict[str, float]:
    """Return how long a sample is shown, in whole steps: as long as in the shipped configs, or 150 steps."""
    unit = max(clock.dt_ms, 1.0)
    steps = round(150 * unit / clock.dt_ms)
    return {"presentation_ms": steps * clock.dt_ms, "window_ms": (steps // 2) * clock.dt_ms}
