"""The simulator itself: which kernel, on how many threads."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, ClassVar, NamedTuple, final

import torch

from root.errors import UnsupportedError
from root.ranges import THREADS, check_values, of
from spiking.blocks.block import Block
from spiking.blocks.recordings import Outcome
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Neuron
from spiking.neurons.lif import LIF
from spiking.programs.statements import HOLD
from spiking.simulators.base import Simulator
from spiking.simulators.compiled.arrays import ROWS, Packed, Wires
from spiking.simulators.compiled.generated import kernel, mixed_kernel
from spiking.simulators.compiled.given import histories
from spiking.simulators.compiled.mixed_packing import changes, pack_mixed
from spiking.simulators.compiled.packing import pack
from spiking.simulators.compiled.wires import WORD, wires
from spiking.simulators.flat.columns import Columns
from spiking.simulators.flat.constants import Constants, Known, constants_of
from spiking.simulators.flat.outcome import outcome
from spiking.simulators.flat.packing import Flat
from spiking.simulators.plasticity import check_one_at_a_time, in_batches

__all__ = ["CompiledSimulator"]

BY_HAND: frozenset[type[Neuron]] = frozenset({LIF})
"""Models whose step is written by hand, in the file `lif`; every other model's is made of its equations."""

KEPT = 4
"""Chips whose constants are remembered: of two populations, with shadows and without."""

SILENCE_S = 3.0
"""How long the loop may take to be read from the disk before somebody is told that it is being compiled."""

logger = logging.getLogger("spiketrain.compiled")


class _Laid(NamedTuple):
    columns: Columns
    constants: Constants
    wires: Wires


@final
class CompiledSimulator(Simulator):
    """Compiled loops over time, one per chip and sample, on the threads of a CPU.

    In float64 it agrees with the tensor simulator spike for spike; a sum of several currents may
    differ in its last bit. The first block compiles (about half a minute), what was compiled is kept
    on disk beside the source or in ``NUMBA_CACHE_DIR``.

    Args:
        device: ``cpu``.
        dtype: ``torch.float64`` or ``torch.float32``.
        threads: how many to use; None for all cores this process may use.
    """

    name: ClassVar[str] = "compiled"
    elsewhere: ClassVar[str] = "cuda"
    abilities: ClassVar[frozenset[str]] = frozenset(
        {"relay", "wiring", "input_skips", "tracking", "eligibility"}
    )

    def __init__(
        self,
        device: str = "cpu",
        dtype: torch.dtype = torch.float64,
        threads: Annotated[int, THREADS] | None = None,
    ) -> None:
        super().__init__(device, dtype)
        if dtype not in (torch.float64, torch.float32):
            raise UnsupportedError("simulator.dtype", str(dtype), "float64, float32")
        check_values(of(type(self).__init__), {"threads": threads}, "simulator")
        self.threads = threads or len(os.sched_getaffinity(0))
        self._known: Known[_Laid] = Known(KEPT)

    def check(self, network: Network) -> None:
        Simulator.check(self, network)
        _check(network)

    def runs_windows(self, network: Network) -> bool:
        return not _is_mixed(network)

    def run_block(self, network: Network, hardware: Hardware, block: Block) -> Outcome:
        if block.plasticity is not None or _is_mixed(network):
            return self._run_mixed(network, hardware, block)
        neuron = network.layers[0].neuron
        module: Any = kernel(None if type(neuron) in BY_HAND else neuron.program((HOLD,)))
        laid = self._laid(network, hardware, block, WORD, module.CONSTANTS)
        flat = Flat(network, hardware, block, laid.columns, laid.constants, rows=ROWS)
        packed = pack(flat, laid.wires)
        self._run(module, packed, flat)
        return outcome(flat, histories(flat, packed.start.under_way))

    def _run_mixed(self, network: Network, hardware: Hardware, block: Block) -> Outcome:
        if block.plasticity is not None and block.plasticity.batch:
            return in_batches(partial(self.run_block, network), network, hardware, block)
        check_one_at_a_time(block)
        laid = self._laid(network, hardware, block, 1)
        flat = Flat(network, hardware.as_matrices(network), block, laid.columns, laid.constants)
        module: Any = mixed_kernel(flat.constants.programs)
        packed = pack_mixed(flat)
        self._run(module, packed, flat)
        return outcome(flat, histories(flat, packed.start.under_way), changes=changes(flat, packed))

    def _laid(
        self, network: Network, hardware: Hardware, block: Block, word: int, names: Sequence[str] = ()
    ) -> _Laid:
        """Lay chips out for a loop that looks at `word` neurons together."""
        layers = (*hardware.neurons, *(hardware.shadows if block.shadow else ()))

        def make() -> _Laid:
            columns = Columns(network, word, self.dtype, self.device)
            constants = constants_of(network, hardware, columns, shadow=block.shadow, names=names)
            return _Laid(columns, constants, wires(network, columns))

        scope = (network.inputs, network.layers, network.connections, network.dt_ms, word, block.shadow)
        return self._known.of(scope, layers, make)

    def _run(self, module: Any, packed: Packed, flat: Flat) -> None:
        """Deal (chip, sample) pairs out like cards, since those with a controller take longer.

        The calling thread takes the first hand. The others live for one block: a pool that is kept
        would not survive a fork.
        """
        simulate = module.compiled(packed.chips.weights.dtype)
        threads = min(self.threads, flat.hardware.chips * flat.block.batch)
        with _announced(lambda: bool(simulate.signatures)):
            if threads == 1:
                simulate(0, 1, *packed)
                return
            with ThreadPoolExecutor(threads - 1) as pool:
                others = [
                    pool.submit(partial(simulate, first, threads, *packed)) for first in range(1, threads)
                ]
                simulate(0, threads, *packed)
                for other in others:
                    other.result()


@contextmanager
def _announced(ready: Callable[[], bool]) -> Iterator[None]:
    """Say that the loop is being compiled, where it is neither in memory nor soon read from the disk."""

    def tell() -> None:
        if not ready():
            logger.info(
                "compiling the simulation loop, which takes about half a minute, once on this machine"
            )

    if ready():
        yield
        return
    timer = threading.Timer(SILENCE_S, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _is_mixed(network: Network) -> bool:
    return any(layer.neuron.options != network.layers[0].neuron.options for layer in network.layers)


def _check(network: Network) -> None:
    if _is_mixed(network):
        if network.feedback.relayed:
            given, allowed = network.feedback.origin, "direct, for neurons of several models"
            raise UnsupportedError("network.feedback.name", given, allowed, "Use the simulator torch.")
        return
    neuron = network.layers[0].neuron
    if not neuron.emits_spikes:
        raise UnsupportedError(
            "neuron.model", neuron.model, "a model that spikes", "Use the simulator torch."
        )
