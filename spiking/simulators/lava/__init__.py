"""Lava: the client here, the runtime in ``runtime/``, which runs in an environment of Lava's own.

Nothing of Lava is ever imported by the project itself.
"""

from spiking.simulators.lava.simulator import LavaSimulator

__all__ = ["LavaSimulator"]
