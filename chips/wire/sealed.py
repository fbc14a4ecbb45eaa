"""States of chips that stay where the chips are: what synapses hold is what nobody outside may read."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from pathlib import Path
from typing import Any, final

from numpy.typing import NDArray

from chips.wire.codec import pack, unpack
from chips.wire.frames import PREFIX, FrameError, body_of, frame, header_of, lengths
from root.errors import DamagedError, InputError

__all__ = ["Sealed"]

KEPT = 8
"""States that are kept; a run asks for its last one."""

MOST = 1 << 31


@final
class Sealed:
    """States by names that say nothing about them; where the clock is all there is, the clock itself.

    Args:
        folder: where they outlive this process; None: they do not.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._states: OrderedDict[str, dict[str, Any]] = OrderedDict()
        if folder is not None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, state: dict[str, Any]) -> dict[str, Any]:
        """Keep a state and return what the other side may have of it."""
        clock = {"now_ms": float(state["now_ms"])}
        if all(value is None for name, value in state.items() if name != "now_ms"):
            return clock
        name = secrets.token_hex(16)
        self._states[name] = state
        while len(self._states) > KEPT:
            old, _ = self._states.popitem(last=False)
            if self._folder is not None:
                (self._folder / old).unlink(missing_ok=True)
        if self._folder is not None:
            self._write(name, state)
        return {**clock, "sealed": name}

    def get(self, said: Any) -> dict[str, Any]:
        """Return the state that the other side was given `said` for.

        Raises:
            InputError: there is none such, any more.
        """
        match said:
            case {"now_ms": float(now_ms), **rest} if not rest:
                return {"now_ms": now_ms, "memory": None}
            case {"now_ms": float(), "sealed": str(name), **rest} if (
                not rest and len(name) == 32 and name.isalnum()
            ):
                pass
            case _:
                raise FrameError("a state as it was given")
        if name in self._states:
            return self._states[name]
        if self._folder is None or not (self._folder / name).is_file():
            allowed = (
                "a state that is still kept: the chips' process has ended since, or keeps its states nowhere"
            )
            raise InputError("chips", "a state of an earlier time", allowed)
        return self._read(name)

    def _write(self, name: str, state: dict[str, Any]) -> None:
        assert self._folder is not None
        arrays: list[NDArray[Any]] = []
        half = self._folder / f".{name}"
        half.touch(mode=0o600)
        with half.open("wb") as file:
            for piece in frame({"state": pack(state, arrays)}, arrays):
                file.write(piece)
        half.rename(self._folder / name)

    def _read(self, name: str) -> dict[str, Any]:
        assert self._folder is not None
        raw = (self._folder / name).read_bytes()
        try:
            header, body = lengths(raw[: PREFIX.size], MOST)
            said = header_of(raw[PREFIX.size : PREFIX.size + header])
            arrays = body_of(said, bytearray(raw[PREFIX.size + header :][:body]))
            state: dict[str, Any] = unpack(said["state"], arrays)
        except (FrameError, KeyError, ValueError) as error:
            raise DamagedError(str(self._folder / name), "something else", "a state", str(error)) from None
        return state
