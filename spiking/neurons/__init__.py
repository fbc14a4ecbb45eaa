"""Neuron models, one per file; found by name through the entry points ``spiketrain.neurons``."""

from spiking.neurons.alif import ALIF
from spiking.neurons.base import Neuron, Parameter, State, Values
from spiking.neurons.cuba_lif import CubaLIF
from spiking.neurons.equations import Equations
from spiking.neurons.integrate_and_fire import IF
from spiking.neurons.li import LI
from spiking.neurons.lif import LIF
from spiking.neurons.qif import QIF
from spiking.neurons.rate import Rate

__all__ = [
    "ALIF",
    "IF",
    "LI",
    "LIF",
    "QIF",
    "CubaLIF",
    "Equations",
    "Neuron",
    "Parameter",
    "Rate",
    "State",
    "Values",
]
