"""Whether a folder is that of the run that is to go on: what it was for, how far it came, what it kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from root.errors import DamagedError, InputError, SpiketrainError
from spiketrain.record.tables import read_rows

__all__ = ["as_ours", "check_shapes", "refuse_difference", "refuse_epoch", "refuse_lost"]

EXTENDABLE = ("training", "epochs")
"""The one setting that may differ when a run is resumed: a run may be made longer."""

CHECKSUM = "sha256"
"""The key of a checksum; runs of an earlier version have none."""

NOT_OURS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a state that is not this run's makes everything say that takes it."""

AFTER_A_CHECKPOINT = ("checkpoint.json", "weights.safetensors", "truth.safetensors", "summary.json")
"""What is written only when there has been a checkpoint."""


def refuse_difference(stored: Any, given: Any, said: Any, path: tuple[str, ...] = ()) -> None:
    """Raise `InputError` where a run has another configuration.

    Args:
        stored: what it began with.
        given: what it is to go on with.
        said: `given` without its defaults.
        path: keys that lead here.
    """
    if path == EXTENDABLE or (path[-1:] == (CHECKSUM,) and stored is None):
        return
    if isinstance(stored, dict) and isinstance(given, dict):
        inside = said if isinstance(said, dict) else {}
        for key in dict.fromkeys([*stored, *given]):
            if key in stored or key in inside:
                refuse_difference(stored.get(key), given.get(key), inside.get(key), (*path, str(key)))
    elif stored != given:
        fix = "A resumed run keeps its configuration, but for training.epochs."
        if path[-1:] == (CHECKSUM,):
            fix = "The data have changed since; a resumed run keeps them."
        raise InputError(".".join(path) or "resume", given, f"{stored!r}, as the run began with", fix)


def refuse_epoch(directory: Path, epoch: int, stored: Any, given: Any) -> None:
    """Raise `InputError` where a checkpoint is from after the end of the run, before or now.

    Args:
        directory: of the run.
        epoch: of its checkpoint.
        stored: its configuration.
        given: the configuration to go on with.
    """
    wanted = _epochs(given)
    if wanted is None or epoch <= wanted:
        return
    before = _epochs(stored)
    if before is not None and epoch <= before:
        fix = "A run cannot be made shorter than it is."
        raise InputError("training.epochs", wanted, f"{epoch} or more: so many are done", fix)
    raise DamagedError(
        f"{directory / 'checkpoint.safetensors'}: epoch", epoch, f"at most {before}, all of them"
    )


def _epochs(config: Any) -> int | None:
    section = config.get("training") if isinstance(config, dict) else None
    epochs = section.get("epochs") if isinstance(section, dict) else None
    return epochs if type(epochs) is int else None


def refuse_lost(directory: Path, names: Sequence[str]) -> None:
    """Raise `DamagedError` where a run without a checkpoint has had one: it would begin again in silence."""
    later = next((name for name in AFTER_A_CHECKPOINT if name in names), None)
    metrics = directory / "metrics.csv"
    if later is None and metrics.name in names:
        epochs = [row["epoch"] for row in read_rows(metrics, ("epoch", "chip"))]
        later = next(
            (f"epoch {epoch} in {metrics.name}" for epoch in epochs if epoch not in ("0", "1")), None
        )
    if later is not None:
        fix = f"There is {later}; begin anew in another folder, or remove this one."
        raise DamagedError(str(directory / "checkpoint.safetensors"), "nothing", "the run's checkpoint", fix)


def check_shapes(place: Path | str, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raise `DamagedError` where tensors in a file are not those of a network.

    Args:
        place: the file.
        found: what is in it.
        wanted: what should be, by name; only shapes and types matter. Others may be there too.
    """
    for name, value in wanted.items():
        there = found.get(name)
        shape = None if there is None else tuple(there.shape)
        if there is None or shape != tuple(value.shape) or there.dtype != value.dtype:
            given = "nothing" if there is None else f"{there.dtype} of shape {shape}"
            raise DamagedError(f"{place}: {name}", given, f"{value.dtype} of shape {tuple(value.shape)}")


@contextmanager
def as_ours(place: str) -> Iterator[None]:
    """Refuse a checkpoint as another run's where what takes its state fails.

    Args:
        place: the checkpoint, to blame.

    Raises:
        DamagedError: it is one.
    """
    try:
        yield
    except SpiketrainError:
        raise
    except NOT_OURS as error:
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise DamagedError(place, "a state of something else", "the state of this run", said) from None
