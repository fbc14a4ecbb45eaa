"""Where an experiment's chips are: simulated in this process, in one of their own, or at addresses."""

from __future__ import annotations

from functools import partial

from chips.base import Chips
from chips.rack import ChipRack
from chips.wire.links import Address, read_key
from chips.wire.remote import Line, RemoteChips, SilentError
from mismatch.chip import ChipPopulation
from root.errors import InputError
from root.seeds import SeedTree
from spiketrain.config import Experiment
from spiketrain.isolation import start
from spiking.network import Network

__all__ = ["housed", "served", "visited"]


def housed(experiment: Experiment, network: Network, seeds: SeedTree) -> Chips:
    """Return the chips that an experiment trains and tests.

    Args:
        experiment: says where they are.
        network: the design.
        seeds: where initial states, and the noise of writes and presentations, come from, of chips that are
            here.

    Raises:
        InputError: nobody has such chips there.
    """
    part = experiment.chips
    if not part.elsewhere:
        return ChipPopulation(network, experiment.build_mismatch(), experiment.build_simulator(), seeds)
    bench = partial(_bench, experiment, network, seeds)
    if part.isolated:
        return RemoteChips(start(experiment), network, bench)
    key = None if part.key is None else read_key(part.key, "chips.key")
    places = []
    try:
        for address in part.addresses:
            places.append(_at(address, experiment, network, key))
        rack = ChipRack(places, network)
        if rack.chips != experiment.mismatch.chips:
            allowed = f"{rack.chips}: so many are at {', '.join(part.addresses)}"
            raise InputError("mismatch.chips", experiment.mismatch.chips, allowed)
    except BaseException:
        for place in places:
            place.close()
        raise
    return rack


def visited(address: str, key: str | None) -> RemoteChips:
    """Return chips at an address of which nothing is known but their card.

    Raises:
        InputError: there are none.
    """
    known = None if key is None else read_key(key, "--key")
    line = Line(address, Address.parse(address, "ADDRESS").connect, key=known, patience_s=0.0)
    return _reached(line, None)


def _at(address: str, experiment: Experiment, network: Network, key: bytes | None) -> RemoteChips:
    part = experiment.chips
    connect = Address.parse(address).connect
    line = Line(address, connect, key=key, timeout_s=part.timeout_s, patience_s=0.0)
    chips = _reached(line, network)  # who is not there at the beginning is not waited for
    line.patience_s = part.patience_s
    return chips


def _reached(line: Line, network: Network | None) -> RemoteChips:
    try:
        return RemoteChips(line, network)
    except SilentError as error:
        fix = f"{error}. spiketrain chips serve --config FILE --at ADDRESS"
        raise InputError("chips.at", line.where, "an address where chips are served", fix) from None


def _bench(experiment: Experiment, network: Network, seeds: SeedTree) -> Chips:
    """Return simulated chips of the same design: its public part, and no seed of theirs."""
    return ChipPopulation(network, experiment.build_mismatch(), experiment.build_simulator(), seeds)


def served(experiment: Experiment) -> ChipPopulation:
    """Return the simulated chips of an experiment, to be served to others.

    Raises:
        InputError: they are elsewhere already.
    """
    if experiment.chips.elsewhere:
        key = "chips.isolated" if experiment.chips.isolated else "chips.at"
        raise InputError(
            key, "chips that are elsewhere", "chips that are simulated here: only these can be served"
        )
    seeds = SeedTree(experiment.training.seed).child("chips")
    network = experiment.build_network()
    return ChipPopulation(network, experiment.build_mismatch(), experiment.build_simulator(), seeds)
