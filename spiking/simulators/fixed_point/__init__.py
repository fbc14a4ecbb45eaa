"""Loihi's fixed-point arithmetic: quantisation, and the bit-accurate step over chips and samples."""

from spiking.simulators.fixed_point.emulate import emulate
from spiking.simulators.fixed_point.program import Program
from spiking.simulators.fixed_point.quantise import quantise
from spiking.simulators.fixed_point.ranges import RANGES
from spiking.simulators.fixed_point.report import Rounding

__all__ = ["RANGES", "Program", "Rounding", "emulate", "quantise"]
