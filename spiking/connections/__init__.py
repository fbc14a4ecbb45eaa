"""What joins two populations: which synapses there are, and which programmed numbers they carry."""

from spiking.connections.average_pool import AveragePool2d
from spiking.connections.base import Pattern, Synapses, Wiring
from spiking.connections.conv2d import Conv2d
from spiking.connections.dense import Dense
from spiking.connections.one_to_one import OneToOne
from spiking.connections.recurrent import Recurrent
from spiking.connections.sparse import Sparse
from spiking.connections.unconnected import Unconnected

__all__ = [
    "AveragePool2d",
    "Conv2d",
    "Dense",
    "OneToOne",
    "Pattern",
    "Recurrent",
    "Sparse",
    "Synapses",
    "Unconnected",
    "Wiring",
]
