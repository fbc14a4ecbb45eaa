"""NVIDIA's libraries to pretend with: kernels run on the processor, on the memory of pretended tensors."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from spiking.simulators.cuda import host
from spiking.simulators.cuda.card import CardError

FOLDER = Path(host.__file__).parent


class FakeDriver:
    """A card of a given size; after `lives` launches it is lost."""

    def __init__(
        self,
        *,
        version: int = 13000,
        count: int = 1,
        free: int = 10**11,
        shared: int = 10**5,
        lives: int = 10**9,
    ) -> None:
        self._version, self._count, self._free, self._shared = version, count, free, shared
        self.lives, self.launches = lives, 0

    def version(self) -> int:
        return self._version

    def count(self) -> int:
        return self._count

    def name(self, index: int) -> str:
        return f"Pretended {index}"

    def memory(self, index: int) -> tuple[int, int]:
        return self._free, self._free

    def shared_bytes(self, index: int) -> int:
        return self._shared

    def compiled(self, index: int, text: str, options: tuple[str, ...]) -> bytes:
        card, before, after = (
            (FOLDER / name).read_text("utf-8") for name in ("card.h", "host.h", "host_launch.h")
        )
        assert text.startswith(card)
        return f"{text.replace(card, before)}\n{after}".encode()

    def loaded(self, code: bytes, shared_bytes: int) -> Any:
        return host._library(code.decode())

    def launch(
        self, kernel: Any, grid: tuple[int, int, int], arguments: ctypes.Structure, stream: int
    ) -> None:
        if self.launches == self.lives:
            raise CardError("CUDA_ERROR_ECC_UNCORRECTABLE")
        self.launches += 1
        blocks, _, shared_bytes = grid
        assert kernel.launch(ctypes.byref(arguments), blocks, ctypes.c_longlong(shared_bytes), 0) == 0
