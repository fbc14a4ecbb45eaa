"""Small populations, and servers of them in threads."""

import socket
import threading
from contextlib import contextmanager

import torch

from chips.wire.links import Address, Link
from chips.wire.remote import Line, RemoteChips
from chips.wire.server import Server
from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec
from rate_bridge.filters import window
from root.seeds import SeedTree
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import Controller, Phase, SpikeDrive, Weights
from spiking.simulators.torch import TorchSimulator

NETWORK = chain([6, 5, 3], LIF(bias=0.8))


def population(chips=2, first=0, network=NETWORK, **imperfections):
    deviations = {"threshold": Normal(cv=0.2), "weight": Normal(cv=0.2)}
    spec = MismatchSpec(chips, 7, deviations, first_chip=first, imperfections=imperfections)
    return ChipPopulation(network, spec, TorchSimulator(), SeedTree(0).child("chips"))


def weights(chips=2, seed=0, network=NETWORK):
    g = torch.Generator().manual_seed(seed)
    sizes = network.sizes

    def drawn(*shape):
        return torch.randn(shape, generator=g, dtype=torch.float64).expand(chips, *shape).clone()

    return Weights(
        forward=tuple(drawn(sizes[c.pre], sizes[c.post]) for c in network.connections),
        bias=tuple(drawn(n) for n in sizes[1:]),
        feedback=tuple(drawn(sizes[-1], n) for n in sizes[1:]),
    )


def phases(batch=3, steps=30, record=(), controlled=True):
    g = torch.Generator().manual_seed(1)
    drive = SpikeDrive(torch.rand(batch, steps, 6, generator=g) < 0.2)
    free = Phase("free", drive, window(steps, steps // 2), start="same", record=frozenset(record))
    if not controlled:
        return (free,)
    target = torch.full((batch, 3), 0.5, dtype=torch.float64)
    held = Phase("held", drive, window(steps, steps // 2), Controller(target), start="same", shadow=True)
    return free, held


def same(one, other):
    """Whether two observations are the same to the last bit."""
    assert one.keys() == other.keys()
    return all(_equal(one[name], other[name]) for name in one)


def _equal(one, other):
    for name, value in vars(one).items():
        theirs = vars(other)[name]
        groups = (value.values(), theirs.values()) if isinstance(value, dict) else (value, theirs)
        pairs = [groups] if value is None or isinstance(value, torch.Tensor) else zip(*groups, strict=True)
        for a, b in pairs:
            if isinstance(a, tuple):
                assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True)), name
            elif not (a is b is None or torch.equal(a, b)):
                return False
    return True


def pair(server, thread=True):
    """Return this side of a pair of sockets whose other side a server answers."""
    ours, theirs = socket.socketpair()
    threading.Thread(target=server.answer, args=(Link(theirs),), daemon=True).start()
    return Link(ours)


def remote(server, network=NETWORK, **options):
    line = Line("a server", lambda _: pair(server), **options)
    return RemoteChips(line, network)


class Place:
    """A server at an address, that can be killed and started again."""

    def __init__(self, path, chips, **options):
        self.address, self._chips, self._options = f"ipc://{path}", chips, options
        self.start()

    def start(self):
        self.stopped = threading.Event()
        self.server = Server(self._chips(), **self._options)
        self.socket = Address.parse(self.address).listen()
        self.thread = threading.Thread(
            target=self.server.listen, args=(self.socket, self.stopped), daemon=True
        )
        self.thread.start()

    def kill(self):
        self.stopped.set()
        self.thread.join()
        self.socket.close()
        if self.server._link is not None:
            self.server._link.close()

    def remote(self, network=NETWORK, **options):
        return RemoteChips(Line(self.address, Address.parse(self.address).connect, **options), network)


@contextmanager
def places(*made):
    try:
        yield made
    finally:
        for place in made:
            place.kill()
