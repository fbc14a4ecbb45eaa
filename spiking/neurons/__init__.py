"""Neuron models, one per file; found by name through the entry points ``spiketrain.neurons``."""

from spiking.neurons.base import Neuron, Parameter, State, Values
from spiking.neurons.lif import LIF

__all__ = ["LIF", "Neuron", "Parameter", "State", "Values"]
