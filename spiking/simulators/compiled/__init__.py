"""The compiled CPU simulator; numba is imported when the first block runs."""

from spiking.simulators.compiled.simulator import CompiledSimulator

__all__ = ["CompiledSimulator"]
