"""The effective parameters and weights that a simulator computes with: the truth about the chips."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from root.seeds import SeedTree
from spiking.network import Network
from spiking.neurons.base import Values
from spiking.presentation import Relay

__all__ = ["Hardware", "NoiseCurrent"]


@dataclass(frozen=True)
class NoiseCurrent:
    """White noise currents into the membranes and, independent of them, into their shadows.

    Args:
        std: per layer 1 to L, standard deviation of the current of one step, ``(chips, n)``.
        nodes: one node of the seed tree per chip; a chip's noise is a function of its node alone.
    """

    std: tuple[Tensor, ...]
    nodes: tuple[SeedTree, ...]

    def child(self, *names: str | int) -> NoiseCurrent:
        """Return noise of the same size for something more particular."""
        return NoiseCurrent(self.std, tuple(node.child(*names) for node in self.nodes))


@dataclass(frozen=True)
class Hardware:
    """Everything a simulator needs to know about a population of chips.

    Learning rules never see one.

    Args:
        neurons: per layer 1 to L, parameter field to value, ``(chips, n)``; ``bias`` is the
            programmed bias and its deviation.
        shadows: the same for the basal shadow membranes.
        weights: effective weights of the physical synapses per connection, ``(chips, n_pre, n_post)`` where
            all are joined to all, else one for every synapse of its wiring, ``(chips, S)``.
        feedback: effective feedback weights per layer, of `Network.feedback_shapes`, or empty.
        readout: gains and offsets of the read-out and the controller, each ``(chips, n_out)``:
            the controller sees ``gain * trace + offset`` and works with ``kp`` and ``ki`` times its
            nominal gains.
        delays: per connection, whole steps from a spike of each presynaptic neuron to the membranes that
            see it, ``(chips, n_pre)``, int64, 1 or more; empty where all are the connection's own. A current
            that drives the first connection directly is not delayed.
        noise: noise of the membranes, or None.
        synapses: per connection, how much the effective weight changes when the programmed one does,
            of the same shape, or None for 1; empty where synapses cannot change by themselves.
        relay: what layered feedback needs beside its weights, or None.
    """

    neurons: tuple[Values, ...]
    shadows: tuple[Values, ...]
    weights: tuple[Tensor, ...]
    feedback: tuple[Tensor, ...]
    readout: Values
    delays: tuple[Tensor, ...] = ()
    noise: NoiseCurrent | None = None
    synapses: tuple[Tensor | None, ...] = ()
    relay: Relay | None = None

    @property
    def needs(self) -> frozenset[str]:
        """What not every machine can do: ``"delays"``, ``"membrane_noise"``."""
        return frozenset({"delays"} if self.delays else ()) | frozenset(
            {"membrane_noise"} if self.noise else ()
        )

    def part(self, number: int) -> Hardware:
        """Return the same chips for one of several blocks, with noise of its own."""
        return self if self.noise is None else replace(self, noise=self.noise.child(number))

    def as_matrices(self, network: Network) -> Hardware:
        """Return the same chips with matrices of forward and feedback weights, 0 where there is no synapse.

        Args:
            network: what they are chips of.
        """
        if network.dense:
            return self
        pairs = zip(network.synapses, self.weights, strict=True)
        back = zip(network.feedback_synapses, self.feedback, strict=False)  # none where none was programmed
        return replace(
            self,
            weights=tuple(synapses.matrix(values) for synapses, values in pairs),
            feedback=tuple(synapses.matrix(values) for synapses, values in back),
        )

    @property
    def chips(self) -> int:
        """Number of chips."""
        return int(self.weights[0].shape[0])
