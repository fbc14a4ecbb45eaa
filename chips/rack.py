"""Several places with chips as one population; who is silent is left out, and comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Self, TypeVar, final

import torch
from torch import Tensor

from chips.base import Chips
from chips.wire.remote import SilentError
from root.errors import InputError
from spiking.naming import named_recording
from spiking.network import Network
from spiking.presentation import Change, Observation, Phase, Recording, Weights

__all__ = ["ChipRack"]

SHORTEST_S, LONGEST_S = 0.5, 60.0
"""How long a place that was silent is left alone before it is asked again: doubled with every time."""

T = TypeVar("T")


class _Place:
    """One place of the rack: its chips, and what became of them.

    Args:
        chips: what is there.
        part: which chips of the population they are.
    """

    def __init__(self, chips: Chips, part: slice) -> None:
        self.chips, self.part, self.answers = chips, part, True
        self.ledger: dict[str, Any] = {"missed": 0, "reason": ""}
        self._again, self._pause = 0.0, SHORTEST_S

    def ask(self, question: Callable[[Chips, slice], T]) -> T | None:
        """Return the answer, or None where none came or nobody was asked because none came lately."""
        if not self.answers and time.monotonic() < self._again:
            return None
        try:
            answer = question(self.chips, self.part)
        except SilentError as error:
            self.answers, self.ledger["reason"] = False, str(error)
            self._again, self._pause = time.monotonic() + self._pause, min(2 * self._pause, LONGEST_S)
            return None
        self.answers, self._pause = True, SHORTEST_S
        return answer


@final
class ChipRack(Chips):
    """Places with chips, asked at the same time; the slowest sets the pace.

    A place that does not answer within its own patience is masked: its chips show nothing, and what they
    would have learnt is left out, until it answers again. Others go on meanwhile.

    Args:
        places: the chips at each, of one design.
        network: the design.

    Raises:
        InputError: there are none.
    """

    def __init__(self, places: Sequence[Chips], network: Network) -> None:
        if not places:
            raise InputError("chips.at", [], "one address or more")
        self._network, self._places, first = network, list[_Place](), 0
        for chips in places:
            self._places.append(_Place(chips, slice(first, first + chips.chips)))
            first += chips.chips
        cards = [place.card for place in places]
        self._card = replace(
            cards[0],
            name=" and ".join(dict.fromkeys(card.name for card in cards)),
            chips=first,
            abilities=frozenset.intersection(*(card.abilities for card in cards)),
        )
        self._pool = ThreadPoolExecutor(len(places), thread_name_prefix="rack")

    @property
    def bench(self) -> Chips | None:
        return self._places[0].chips.bench

    @property
    def now_ms(self) -> float:
        return max(place.chips.now_ms for place in self._places)

    @property
    def answers(self) -> Tensor:
        return torch.cat([torch.full((place.chips.chips,), place.answers) for place in self._places])

    @property
    def silent(self) -> dict[int, str]:
        return {
            chip: f"missed {place.ledger['missed']} presentations: {place.ledger['reason']}"
            for place in self._places
            if place.ledger["missed"]
            for chip in range(place.part.start, place.part.stop)
        }

    def program(self, weights: Weights) -> None:
        self._all(lambda chips, part: chips.program(_weights(weights, part)))

    def present(self, phases: Sequence[Phase], *presentation: str | int) -> Observation:
        seen = self._all(lambda c, part: c.present([_phase(p, part) for p in phases], *presentation))
        for place, one in zip(self._places, seen, strict=True):
            place.ledger["missed"] += one is None
        heard = next((one for one in seen if one is not None), None)
        if heard is None:
            raise SilentError(
                f"no chip answers: {'; '.join(place.ledger['reason'] for place in self._places)}"
            )
        parts = [
            _nothing(heard, place.chips.chips) if one is None else one
            for place, one in zip(self._places, seen, strict=True)
        ]
        joined = {name: _joined([part[name] for part in parts]) for name in heard}
        return {name: named_recording(self._network, recording) for name, recording in joined.items()}

    def advance(self, milliseconds: float) -> None:
        self._all(lambda chips, _: chips.advance(milliseconds))

    def trial(self) -> Chips:
        return self._like([place.chips.trial() for place in self._places])

    def _like(self, chips: Sequence[Chips]) -> Self:
        """Return a rack of other chips at the same places; what is silent here is silent there."""
        other = type(self)(chips, self._network)
        for mine, theirs in zip(self._places, other._places, strict=True):
            theirs.answers, theirs.ledger, theirs._again = mine.answers, mine.ledger, mine._again
        return other

    def state(self) -> dict[str, Any]:
        """Return a state per place; that of one which is silent is the last that was known, or None."""
        return {"places": self._all(lambda chips, _: chips.state())}

    def restore(self, state: dict[str, Any]) -> None:
        for place, known in zip(self._places, state["places"], strict=True):
            if known is not None:
                place.chips.restore(known)

    def close(self) -> None:
        for place in self._places:
            place.chips.close()
        self._pool.shutdown(wait=False)

    def _all(self, question: Callable[[Chips, slice], T]) -> list[T | None]:
        return list(self._pool.map(lambda place: place.ask(question), self._places))


def _weights(weights: Weights, part: slice) -> Weights:
    """Return the weights of some of the chips."""
    relay = weights.relay and replace(
        weights.relay,
        strength=tuple(value[part] for value in weights.relay.strength),
        gates=tuple(value[part] if len(value) > 1 else value for value in weights.relay.gates),
    )
    groups = (weights.forward, weights.bias, weights.feedback)
    forward, bias, feedback = (tuple(value[part] for value in group) for group in groups)
    return Weights(forward, bias, feedback, relay)


def _phase(phase: Phase, part: slice) -> Phase:
    """Return what some of the chips are shown: what differs between chips is cut."""

    def own(value: Tensor) -> Tensor:
        return value[part] if value.ndim == 3 and len(value) > 1 else value

    controller = phase.controller
    if controller is not None and not controller.moves:
        controller = replace(controller, target=own(controller.target))
    currents = tuple(None if value is None else own(value) for value in phase.currents)
    return replace(phase, controller=controller, currents=currents)


def _nothing(heard: Observation, chips: int) -> Observation:
    """Return what so many chips show that do not answer: zeros, in the shapes of those that do."""

    def zeros(value: Tensor) -> Tensor:
        return value.new_zeros((chips, *value.shape[1:]))

    empty = {name: _each(zeros, [recording]) for name, recording in heard.items()}
    for name, recording in heard.items():  # an input that all chips have in common is theirs too
        if len(recording.rates[0]) == 1:
            empty[name] = replace(empty[name], rates=(recording.rates[0], *empty[name].rates[1:]))
    return empty


def _joined(parts: list[Recording]) -> Recording:
    """Return the recordings of all chips; what all have in common stays one."""

    def join(*values: Tensor) -> Tensor:
        return torch.cat(values)

    joined, shared = _each(join, parts), parts[0].rates[0]
    alike = all(len(part.rates[0]) == 1 for part in parts)
    return replace(joined, rates=(shared, *joined.rates[1:])) if alike else joined


def _each(make: Callable[..., Tensor], parts: list[Recording]) -> Recording:
    """Return a recording made of the same tensors of several."""

    def tensors(groups: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        return tuple(make(*values) for values in zip(*groups, strict=True))

    return Recording(
        rates=tensors([p.rates for p in parts]),
        basal=tensors([p.basal for p in parts]),
        control=None if parts[0].control is None else make(*(p.control for p in parts)),
        readout=make(*(p.readout for p in parts)),
        correlation=tensors([p.correlation for p in parts]),
        changes=tuple(
            Change(make(*(c.weight for c in changes)), make(*(c.bias for c in changes)))
            for changes in zip(*(p.changes for p in parts), strict=True)
        ),
        traces={name: tensors([p.traces[name] for p in parts]) for name in parts[0].traces},
        apical=tensors([p.apical for p in parts]),
    )
