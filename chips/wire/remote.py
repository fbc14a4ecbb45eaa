"""The side that trains: chips that are in another process, as if they were here."""

from __future__ import annotations

import secrets
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Self, final

from numpy.typing import NDArray

from chips.base import Chips
from chips.card import Card
from chips.wire.codec import pack, unpack
from chips.wire.frames import FrameError
from chips.wire.greeting import greet
from chips.wire.links import Link, LostError
from root.errors import InputError, SimulationError, UnsupportedError
from spiking.naming import named_recording
from spiking.network import Network
from spiking.presentation import Observation, Phase, Weights

__all__ = ["Line", "RemoteChips", "SilentError"]

PAUSE_S = 0.1
"""Between two attempts to reach a server again."""

WELCOME_S = 30.0
"""Longest time until a server that was reached says its card: it may be computing."""


class SilentError(SimulationError):
    """Chips do not answer, and have not come back in time."""


class _RestartedError(Exception):
    """Another process answers where one did before: it knows nothing of what was."""


@final
class Line:
    """A connection that is made again when it breaks, and the requests that go through it, one at a time.

    A request that broke off is sent again under its own number, so that it is never done twice.

    Args:
        where: how the place is called in messages.
        connect: makes a connection, within so many seconds.
        key: what proves the right to ask, on TCP.
        timeout_s: longest time for one answer.
        patience_s: how long a lost server is waited for.
    """

    def __init__(
        self,
        where: str,
        connect: Callable[[float], Link],
        *,
        key: bytes | None = None,
        timeout_s: float = 600.0,
        patience_s: float = 30.0,
    ) -> None:
        self.where, self.timeout_s, self.patience_s = where, timeout_s, patience_s
        self.life = 0
        """How many processes have answered so far."""

        self.drops: list[int] = []
        self._connect, self._key = connect, key
        self._session, self._number = secrets.token_hex(16), 0
        self._link: Link | None = None
        self._process = ""
        self._card: Card | None = None

    @property
    def card(self) -> Card:
        """What the chips can do; the first question connects.

        Raises:
            SilentError: nobody answers.
        """
        if self._card is None:
            self._reach(time.monotonic() + self.patience_s)
        assert self._card is not None
        return self._card

    def ask(self, verb: str, of: int, value: Any, life: int) -> tuple[Any, float]:
        """Return what a request gives, and the chips' clock then.

        Args:
            verb: what is asked.
            of: the chips' handle: 0, or a trial's.
            value: with what.
            life: the life of the server that knows the handle.

        Raises:
            SilentError: no answer in time.
            InputError: the chips refuse.
        """
        arrays: list[NDArray[Any]] = []
        self._number += 1
        drops, self.drops = self.drops, []
        header = {"verb": verb, "of": of, "drops": drops, "value": pack(value, arrays), "id": self._number}
        end = time.monotonic() + self.patience_s
        while True:
            self._reach(end)
            if life != self.life:
                raise _RestartedError
            assert self._link is not None
            try:
                self._link.send(header, arrays, self.timeout_s)
                answer, found = self._link.receive(self.timeout_s)
            except (LostError, FrameError) as error:
                self.hang_up()
                if time.monotonic() >= end:
                    raise SilentError(f"{self.where}: {error}") from None
                continue
            return _taken(answer, found, self._number, self.where)

    def _reach(self, end: float) -> None:
        """Connect, where there is no connection; try again until `end`."""
        while self._link is None:
            try:
                link = self._connect(max(1.0, end - time.monotonic()))
                self._greet(link)
            except (LostError, FrameError) as error:
                if time.monotonic() >= end:
                    raise SilentError(f"{self.where}: {error}") from None
                time.sleep(PAUSE_S)

    def _greet(self, link: Link) -> None:
        try:
            greet(link, self._session, self._key)
            header, arrays = link.receive(WELCOME_S)
            if header.get("verb") == "error":
                raise _error(header, self.where)
            card, process = unpack(header.get("card"), arrays), header.get("process")
            if not isinstance(card, Card) or not isinstance(process, str):
                raise FrameError("a welcome, with a card")
        except BaseException:
            link.close()
            raise
        if self._card is not None and card != self._card:
            link.close()
            raise InputError("chips.at", f"other chips at {self.where} than before", "the same ones")
        if process != self._process:
            self.life += 1
        self._link, self._card, self._process = link, card, process

    def hang_up(self) -> None:
        """End the connection; the next request makes another."""
        if self._link is not None:
            self._link.close()
            self._link = None


@final
class RemoteChips(Chips):
    """Chips in another process.

    A server that was restarted is given the clock and the weights that it had, so that the next
    presentation is what it would have been; one whose synapses remember goes on from the last state that
    was kept.

    Args:
        line: to the process that has them.
        network: the design; None: all that the card says of it.
        bench: makes simulated chips of the same design, where there are any.
        parent: chips that these are a trial of.

    Raises:
        InputError: they are chips of another design.
        SilentError: nobody answers.
    """

    def __init__(
        self,
        line: Line,
        network: Network | None = None,
        bench: Callable[[], Chips] | None = None,
        parent: Self | None = None,
    ) -> None:
        self._line, self._make_bench, self._parent = line, bench, parent
        self._bench: Chips | None = None
        self._card = line.card
        if network is not None:
            self._card.check_network(network)
        self._network = network or self._card.plain_network()
        self._programmed: Weights | None = None
        self._handle, self._now_ms = 0, parent.now_ms if parent else 0.0
        self._life = line.life if parent is None else -1
        self._kept: dict[str, Any] = {}

    @property
    def now_ms(self) -> float:
        return self._now_ms

    @property
    def bench(self) -> Chips | None:
        if self._bench is None and self._make_bench is not None:
            self._bench = self._make_bench()
        return self._bench

    @property
    def line(self) -> Line:
        """The way to them."""
        return self._line

    def program(self, weights: Weights) -> None:
        self._programmed = weights
        self._ask("program", weights)

    def present(self, phases: Sequence[Phase], *presentation: str | int) -> Observation:
        self._card.check_phases(phases)
        seen: Observation = self._ask("present", (tuple(phases), tuple(presentation)))
        return {name: named_recording(self._network, recording) for name, recording in seen.items()}

    def advance(self, milliseconds: float) -> None:
        self._ask("advance", milliseconds)

    def trial(self) -> Chips:
        if "trial" not in self._card.abilities:
            return self
        return RemoteChips(self._line, self._network, self._make_bench, self)

    def state(self) -> dict[str, Any]:
        self._kept = self._ask("state", None)
        return {"identity": self._card.identity, "kept": self._kept}

    def restore(self, state: dict[str, Any]) -> None:
        if state.get("identity") != self._card.identity:
            allowed = "the chips that it began with"
            fix = "A drawn seed ends with its process; chips.secret names a file with one that lasts."
            raise InputError("chips", f"other chips ({self._line.where}) than the run had", allowed, fix)
        self._kept, self._programmed = state["kept"], None
        self._ask("restore", self._kept)

    def retire(self, where: str) -> None:
        """Let the chips write down what they are made of, at a path of their own process; the last request.

        Args:
            where: the file.
        """
        self._ask("retire", where)

    def close(self) -> None:
        self._line.hang_up()

    def _ask(self, verb: str, value: Any) -> Any:
        while True:
            try:
                self._settle()
                found, self._now_ms = self._line.ask(verb, self._handle, value, self._life)
                return found
            except _RestartedError:
                continue

    def _settle(self) -> None:
        """Bring a process that knows nothing of these chips to where they were."""
        if self._life == self._line.life:
            return
        life = self._line.life
        if self._parent is None:
            self._line.ask("restore", 0, self._last(), life)
        else:
            self._parent._settle()
            self._handle, _ = self._line.ask("trial", self._parent._handle, None, life)
            weakref.finalize(self, self._line.drops.append, self._handle)
            self._line.ask("advance", self._handle, max(0.0, self._now_ms - self._parent.now_ms), life)
        if self._programmed is not None:
            self._line.ask("program", self._handle, self._programmed, life)
        self._life = life

    def _last(self) -> dict[str, Any]:
        if "memory" not in self._card.abilities:
            return {"now_ms": self._now_ms}
        if not self._kept:
            raise SilentError(f"{self._line.where}: it was restarted and has lost what its synapses held")
        return self._kept


def _taken(answer: dict[str, Any], arrays: list[NDArray[Any]], number: int, where: str) -> tuple[Any, float]:
    match answer:
        case {"verb": "done", "id": int(said), "value": value, "now_ms": float() | int() as now_ms} if (
            said == number
        ):
            return unpack(value, arrays), float(now_ms)
        case {"verb": "error"}:
            raise _error(answer, where)
    raise SimulationError(f"{where}: an answer that nobody asked for")


def _error(said: dict[str, Any], where: str) -> Exception:
    words = {name: str(said.get(name, "")) for name in ("kind", "key", "given", "allowed", "fix")}
    kinds = {"input": InputError, "unsupported": UnsupportedError}
    if words["kind"] in kinds:
        return kinds[words["kind"]](words["key"], words["given"], words["allowed"], words["fix"])
    if words["kind"] == "frame":
        return SimulationError(f"{where}: a request was not understood; allowed: {words['allowed']}")
    return SimulationError(f"{where}: {words['allowed']}")
