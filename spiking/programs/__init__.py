"""Equations as text, parsed once into ordered statements that every machine prints in its own language."""

from spiking.programs.discretise import discretise
from spiking.programs.dynamics import Dynamics
from spiking.programs.statements import Program, Statement

__all__ = ["Dynamics", "Program", "Statement", "discretise"]
