"""The simulator for CUDA cards; nothing of CUDA is imported before it is asked for."""

from spiking.simulators.cuda.simulator import CudaSimulator

__all__ = ["CudaSimulator"]
