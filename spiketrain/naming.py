"""What layers and connections are called wherever a user sees them."""

from __future__ import annotations

from spiking.network import Network

__all__ = ["connection_names", "layer_names"]


def layer_names(depth: int) -> tuple[str, ...]:
    """Return the names of layers 0 to L: input, hidden (numbered where there are several), output."""
    hidden = ("hidden",) if depth == 2 else tuple(f"hidden {index}" for index in range(1, depth))
    return ("input", *hidden, "output")


def connection_names(network: Network) -> tuple[str, ...]:
    """Return the names of the connections, ``input->hidden`` and so on, in the network's order.

    Where two join the same layers, the second is called ``input->hidden #2``. A name of its own comes first.
    """
    layers, names = layer_names(network.depth), list[str]()
    for connection in network.connections:
        name = connection.name or f"{layers[connection.pre]}->{layers[connection.post]}"
        twins = sum(other.partition(" #")[0] == name for other in names)
        names.append(f"{name} #{twins + 1}" if twins else name)
    return tuple(names)
