"""Neuron models, one per file; found by name through the entry points ``spiketrain.neurons``."""

from spiking.neurons.base import Neuron, Parameter, State, Values
from spiking.neurons.lif import LIF
from spiking.neurons.rate import Rate

__all__ = ["LIF", "Neuron", "Parameter", "Rate", "State", "Values"]
