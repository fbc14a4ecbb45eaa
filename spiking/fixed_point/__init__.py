"""Loihi's fixed-point arithmetic: quantisation, and the bit-accurate step over chips and samples."""

from spiking.fixed_point.emulate import emulate
from spiking.fixed_point.program import Program
from spiking.fixed_point.quantise import quantise
from spiking.fixed_point.ranges import RANGES
from spiking.fixed_point.report import Rounding

__all__ = ["RANGES", "Program", "Rounding", "emulate", "quantise"]
