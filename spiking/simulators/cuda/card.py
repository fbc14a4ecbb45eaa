"""The kernel on a card: compiled by NVRTC for the card that is there, launched on PyTorch's stream.

Everything that is asked of NVIDIA's libraries is in `Driver`, so that a test can answer in their place.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, final

import torch

from root.errors import InputError, SimulationError, UnsupportedError
from spiking.simulators.cuda.source import Shape, source

__all__ = ["Card", "CardError", "Driver", "cards", "driver", "free_bytes", "number", "why_not"]

EXTRA = "pip install 'spiketrain[cuda]'"

OLDEST = 12000
"""CUDA 12.0, whose drivers run what NVRTC 12 and later compile."""

DEFAULT_SHARED_BYTES = 48 * 1024
"""Shared memory that a block may have without asking for more."""


Grid = tuple[int, int, int]
"""Blocks, threads of a block, bytes of shared memory of a block."""


class CardError(Exception):
    """NVIDIA's libraries say no.

    Args:
        code: name of the error, such as ``CUDA_ERROR_OUT_OF_MEMORY``.
        text: what else they say.
    """

    def __init__(self, code: str, text: str = "") -> None:
        self.code, self.text = code, text
        super().__init__(f"{code}: {text}" if text else code)


@final
class Driver:
    """NVIDIA's libraries through its package ``cuda-bindings``; everything may raise `CardError`.

    Raises:
        ImportError: the package is not there.
    """

    def __init__(self) -> None:
        from cuda.bindings import driver, nvrtc  # noqa: PLC0415 (an extra, and only for a card)

        self._driver: Any = driver
        self._nvrtc: Any = nvrtc
        self._ask(driver.cuInit(0))

    def _ask(self, answer: tuple[Any, ...]) -> Any:
        """Return what a call gave beside its error code."""
        code, *found = answer
        if int(code) != 0:
            raise CardError(code.name)
        return found[0] if len(found) == 1 else tuple(found)

    def version(self) -> int:
        """Return the newest CUDA that the driver knows, 12040 for 12.4."""
        return int(self._ask(self._driver.cuDriverGetVersion()))

    def count(self) -> int:
        """Return the number of cards."""
        return int(self._ask(self._driver.cuDeviceGetCount()))

    def name(self, index: int) -> str:
        """Return the name of a card."""
        found: bytes = self._ask(self._driver.cuDeviceGetName(128, self._device(index)))
        return found.split(b"\0")[0].decode()

    def memory(self, index: int) -> tuple[int, int]:
        """Return free and total memory of a card, in bytes."""
        free, total = torch.cuda.mem_get_info(index)
        return int(free), int(total)

    def _device(self, index: int) -> Any:
        return self._ask(self._driver.cuDeviceGet(index))

    def _attribute(self, index: int, name: str) -> int:
        kind = getattr(self._driver.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
        return int(self._ask(self._driver.cuDeviceGetAttribute(kind, self._device(index))))

    def shared_bytes(self, index: int) -> int:
        """Return the most shared memory that a block may have."""
        return self._attribute(index, "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN")

    def compiled(self, index: int, text: str, options: tuple[str, ...]) -> bytes:
        """Compile a kernel for a card."""
        major, minor = (self._attribute(index, f"COMPUTE_CAPABILITY_{part}") for part in ("MAJOR", "MINOR"))
        return self.compiled_for(f"sm_{major}{minor}", text, options)

    def compiled_for(self, architecture: str, text: str, options: tuple[str, ...]) -> bytes:
        """Compile a kernel; this needs no card.

        Raises:
            CardError: the compiler is not there, or refuses the text.
        """
        nvrtc = self._nvrtc
        try:
            nvrtc.nvrtcVersion()
        except RuntimeError as error:
            raise CardError(
                "NVRTC", f"NVIDIA's compiler is missing: pip install nvidia-cuda-nvrtc ({error})"
            ) from error
        program = self._ask(nvrtc.nvrtcCreateProgram(text.encode(), b"presentation.cu", 0, [], []))
        given = [option.encode() for option in (*options, f"--gpu-architecture={architecture}")]
        (code,) = nvrtc.nvrtcCompileProgram(program, len(given), given)
        if int(code) != 0:
            log = b" " * self._ask(nvrtc.nvrtcGetProgramLogSize(program))
            nvrtc.nvrtcGetProgramLog(program, log)
            raise CardError(code.name, log.decode(errors="replace").strip("\0 \n"))
        binary: bytes = b" " * self._ask(nvrtc.nvrtcGetCUBINSize(program))
        self._ask(nvrtc.nvrtcGetCUBIN(program, binary))
        nvrtc.nvrtcDestroyProgram(program)
        return binary

    def loaded(self, code: bytes, shared_bytes: int) -> Any:
        """Load a kernel, which may take so much shared memory a block."""
        driver = self._driver
        module = self._ask(driver.cuModuleLoadData(code))
        kernel = self._ask(driver.cuModuleGetFunction(module, b"present"))
        if shared_bytes > DEFAULT_SHARED_BYTES:
            kind = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            self._ask(driver.cuFuncSetAttribute(kernel, kind, shared_bytes))
        return kernel

    def launch(self, kernel: Any, grid: Grid, arguments: ctypes.Structure, stream: int) -> None:
        """Launch a kernel and return at once."""
        blocks, threads, shared_bytes = grid
        places = (ctypes.c_void_p * 1)(ctypes.addressof(arguments))
        self._ask(
            self._driver.cuLaunchKernel(
                kernel, blocks, 1, 1, threads, 1, 1, shared_bytes, stream, ctypes.addressof(places), 0
            )
        )


@cache
def driver() -> Driver:
    """Return NVIDIA's libraries.

    Raises:
        ImportError: the package ``cuda-bindings`` is not there.
        CardError: there is no driver, or no card.
    """
    return Driver()


def cards() -> int:
    """Return how many cards there are; 0 where anything is missing."""
    try:
        return driver().count()
    except (ImportError, RuntimeError, CardError):
        return 0


def why_not(index: int = 0) -> str:
    """Return why a card cannot be used here and what to do, or nothing where it can."""
    try:
        library = driver()
        version, count = library.version(), library.count()
    except ImportError as error:
        return f"the package cuda-bindings is missing ({error}): {EXTRA}"
    except (RuntimeError, CardError) as error:  # the package raises RuntimeError where there is no driver
        return f"there is no NVIDIA card, or no driver for it ({error})"
    if version < OLDEST:
        known = f"{version // 1000}.{version % 1000 // 10}"
        return f"the driver is too old: it knows CUDA {known}, and 12.0 is needed; install a newer driver"
    if index >= count:
        return f"there is no card {index}: there are {count}, from 0 on"
    if not torch_sees_it():
        return "this PyTorch cannot use the card: install one that is built for CUDA (docs/scaling.md)"
    return ""


def torch_sees_it() -> bool:
    """Return whether PyTorch can use a card."""
    return torch.cuda.is_available()


def number(device: torch.device) -> int:
    """Return the number of the card that a device is: its own, or that of PyTorch's current one."""
    if device.index is not None:
        return device.index
    return torch.cuda.current_device() if torch_sees_it() else 0


def free_bytes(index: int) -> int:
    """Return the free memory of a card."""
    return driver().memory(index)[0]


@final
class Card:
    """Runs kernels on a card.

    Args:
        device: which.

    Raises:
        InputError: it cannot be used; the message says why.
    """

    def __init__(self, device: torch.device) -> None:
        self.index = number(device)
        if reason := why_not(self.index):
            fix = f"{reason[0].upper()}{reason[1:]}. `spiketrain doctor` looks at everything."
            raise InputError("simulator.device", str(device), "a card that can be used", fix)
        self._driver = driver()
        self._kernels: dict[Shape, Any] = {}
        """Loaded kernels; what was compiled is kept for other simulators of this process, see `_code`."""

    def launch(self, shape: Shape, arguments: ctypes.Structure, blocks: int, shared_bytes: int) -> None:
        """Launch a kernel; what comes after it on PyTorch's stream waits for it.

        Args:
            shape: which.
            arguments: what it takes.
            blocks: how many blocks of ``shape.threads`` threads.
            shared_bytes: their shared memory.

        Raises:
            UnsupportedError: a block does not fit onto the card.
            SimulationError: the card was lost, or does not answer.
        """
        try:
            with _on(self.index) as stream:
                kernel = self._kernel(shape, shared_bytes)
                self._driver.launch(kernel, (blocks, shape.threads, shared_bytes), arguments, stream)
        except CardError as error:
            raise SimulationError(f"the card cuda:{self.index} does not go on: {error}") from error

    def _kernel(self, shape: Shape, shared_bytes: int) -> Any:
        if shape not in self._kernels:
            most = self._driver.shared_bytes(self.index)
            if shared_bytes > most:
                allowed = (
                    f"fewer neurons: {shape.columns} take {shared_bytes} bytes of a card's {most} a block"
                )
                raise UnsupportedError("network.layers", shape.columns, allowed, "Use the simulator torch.")
            library: Any = self._driver
            code = _code(library, self.index, shape)
            self._kernels[shape] = self._driver.loaded(code, shared_bytes)
        return self._kernels[shape]


@cache
def _code(library: Any, index: int, shape: Shape) -> bytes:
    made: bytes = library.compiled(index, source(shape), options(shape))
    return made


def options(shape: Shape) -> tuple[str, ...]:
    """Return how a kernel is compiled: in float64, products and sums are rounded one by one."""
    contract = "false" if shape.double else "true"
    return ("--std=c++17", f"--fmad={contract}", "--prec-div=true", "--prec-sqrt=true", "--ftz=false")


@contextmanager
def _on(index: int) -> Iterator[int]:
    """Make a card the one that NVIDIA's driver means, and give PyTorch's stream on it."""
    with torch.cuda.device(index):
        yield int(torch.cuda.current_stream(index).cuda_stream)
