"""The side that has the chips: it answers requests, one after the other, and lets observations out alone."""

from __future__ import annotations

import logging
import secrets
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from numpy.typing import NDArray

from chips.base import Chips
from chips.wire.codec import pack, unpack
from chips.wire.frames import FrameError
from chips.wire.greeting import greeted
from chips.wire.links import Address, Link, LostError
from chips.wire.sealed import Sealed
from root.errors import InputError, SimulationError, UnsupportedError
from spiking.presentation import Phase, Weights

__all__ = ["Server", "serve"]

TRIALS = 16
"""Copies for measurements that a session may hold at a time; older ones are forgotten."""

CONNECTIONS = 8
"""Connections at a time, most of them waiting to be turned away."""

LEAVING_S = 1.0
"""How long a new session waits for one that is just leaving."""

FORESEEN = (InputError, FrameError, SimulationError)
"""What a request may fail by; a bare RuntimeError says that nothing was programmed yet."""

logger = logging.getLogger("spiketrain.chips")

Reply = tuple[dict[str, Any], list[NDArray[Any]]]


@final
class Server:
    """Chips and who asks them: one session at a time, whose connection may break and come back.

    What a session asks is never more than a `Chips` can be asked. States for checkpoints stay here; the
    other side is given their names.

    Args:
        chips: what is served.
        key: what clients on TCP must have.
        observe: names of the traces that may be recorded; None for all.
        keep: folder in which states outlive this process; None: they do not.
        retire: called once with what the client says, when nothing is to be asked any more; None: never.
        identity: names the chips where their configuration does not.
    """

    def __init__(
        self,
        chips: Chips,
        *,
        key: bytes | None = None,
        observe: frozenset[str] | None = None,
        keep: Path | None = None,
        retire: Callable[[str], None] | None = None,
        identity: str = "",
    ) -> None:
        self._identity = identity
        self._chips, self._key, self._observe, self._retire = chips, key, observe, retire
        self._sealed = Sealed(keep)
        self.process = secrets.token_hex(8)
        """Names this server's life: chips that were restarted are told from those whose connection broke."""

        self._lock, self._claims = threading.Lock(), threading.Lock()
        self._session, self._link, self._retired = "", None, False
        self._trials: OrderedDict[int, Chips] = OrderedDict()
        self._count = 0
        self._last: tuple[int, Reply] | None = None
        self._verbs = {
            "program": self._program,
            "present": self._present,
            "advance": self._advance,
            "state": self._state,
            "restore": self._restore,
            "trial": self._trial,
            "retire": self._end,
        }

    _link: Link | None

    def listen(self, where: socket.socket, stopped: threading.Event) -> None:
        """Answer at a listening socket until `stopped`."""
        where.settimeout(0.2)
        waiting = threading.BoundedSemaphore(CONNECTIONS)
        while not stopped.is_set():
            try:
                made, _ = where.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            if not waiting.acquire(blocking=False):
                made.close()
                continue

            threading.Thread(target=self._visited, args=(Link(made), waiting), daemon=True).start()

    def _visited(self, link: Link, waiting: threading.BoundedSemaphore) -> None:
        try:
            self.answer(link)
        finally:
            link.close()
            waiting.release()

    def answer(self, link: Link) -> None:
        """Answer one connection until it ends; whatever comes, nothing but its own requests is lost."""
        try:
            session = greeted(link, self._key)
            if not self._claim(session, link):
                _send(link, _error(None, InputError("chips", "another session", "chips that nobody uses")))
                return
            self._welcome(link)
            while True:
                try:
                    header, arrays = link.receive(None)
                except FrameError as error:
                    _send(link, _error(None, error))
                    if error.lost:
                        return
                    continue
                header, arrays = self._answered(header, arrays)
                link.send(header, arrays)
        except FrameError as error:
            _send(link, _error(None, error))
        except LostError:
            pass
        finally:
            with self._claims:
                if self._link is link:
                    self._link = None

    def _claim(self, session: str, link: Link) -> bool:
        """Give the chips to a session, unless another one stays; its own earlier connection is ended."""
        end = time.monotonic() + LEAVING_S
        while not self._claimed(session, link):
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def _claimed(self, session: str, link: Link) -> bool:
        with self._claims:
            if self._link is not None and session != self._session:
                return False
            if self._link is not None:
                self._link.close()
            if session != self._session:
                self._trials.clear()
                self._last = None
            self._session, self._link = session, link
            return True

    def _welcome(self, link: Link) -> None:
        arrays: list[NDArray[Any]] = []
        card = pack(replace(self._chips.card, identity=self._identity), arrays)
        link.send({"verb": "welcome", "process": self.process, "card": card}, arrays)

    def _answered(self, header: dict[str, Any], arrays: list[NDArray[Any]]) -> Reply:
        """Return the reply to a request; one that comes again is answered as before and not done twice."""
        number = header.get("id")
        if type(number) is not int:
            return _error(None, FrameError("requests with a number as their id")), []
        with self._lock:
            if self._last is not None and self._last[0] == number:
                return self._last[1]
            try:
                reply = self._done(number, header, arrays)
            except Exception as error:
                if not isinstance(error, FORESEEN) and type(error) is not RuntimeError:
                    logger.exception("a request failed")
                reply = _error(number, error), []
            self._last = (number, reply)
            return reply

    def _done(self, number: int, header: dict[str, Any], arrays: list[NDArray[Any]]) -> Reply:
        match header:
            case {"verb": str(verb), "of": int(of), "value": value, "drops": list(drops)} if (
                verb in self._verbs
            ):
                pass
            case _:
                raise FrameError(f"requests: {', '.join(self._verbs)}, each with of, value and drops")
        if self._retired:
            raise InputError("chips", verb, "nothing any more: these chips have told what they are made of")
        for handle in drops:
            self._trials.pop(handle, None)
        chips = self._chips if of == 0 else self._trials.get(of)
        if chips is None:
            raise InputError("chips", f"trial {of}", "a trial that has not been forgotten")
        found: list[NDArray[Any]] = []
        value = pack(self._verbs[verb](chips, unpack(value, arrays)), found)
        return {"verb": "done", "id": number, "value": value, "now_ms": chips.now_ms}, found

    def _program(self, chips: Chips, value: Any) -> None:
        if not isinstance(value, Weights):
            raise FrameError("weights to program")
        chips.program(value)

    def _present(self, chips: Chips, value: Any) -> Any:
        match value:
            case (tuple(phases), tuple(key)) if phases and all(isinstance(p, Phase) for p in phases):
                pass
            case _:
                raise FrameError("phases to present, and the name of the presentation")
        if not all(isinstance(name, str) or type(name) is int for name in key):
            raise FrameError("names and numbers as the name of a presentation")
        chips.card.check_phases(phases)
        asked = frozenset(name for phase in phases for name in phase.record)
        if self._observe is not None and (more := asked - self._observe):
            allowed = ", ".join(sorted(self._observe)) or "nothing but rates"
            raise UnsupportedError("chips.observe", ", ".join(sorted(more)), allowed)
        return dict(chips.present(phases, *key))

    def _advance(self, chips: Chips, value: Any) -> None:
        if type(value) not in (int, float) or not 0 <= value < 1e15:
            raise FrameError("milliseconds to let pass")
        chips.advance(float(value))

    def _state(self, chips: Chips, _: Any) -> Any:
        return self._sealed.put(chips.state())

    def _restore(self, chips: Chips, value: Any) -> None:
        chips.restore(self._sealed.get(value))

    def _trial(self, chips: Chips, _: Any) -> int:
        self._count += 1
        self._trials[self._count] = chips.trial()
        while len(self._trials) > TRIALS:
            self._trials.popitem(last=False)
        return self._count

    def _end(self, _: Chips, value: Any) -> None:
        if self._retire is None or not isinstance(value, str):
            raise InputError("chips", "retire", "chips that may tell what they are made of, and where to")
        self._retired = True
        self._retire(value)


def serve(
    chips: Chips,
    at: str,
    *,
    key: bytes | None = None,
    keep: Path | None = None,
    observe: frozenset[str] | None = None,
    ready: Callable[[], None] = lambda: None,
    stopped: threading.Event | None = None,
) -> None:
    """Serve chips at an address until interrupted, or `stopped`.

    Args:
        chips: what is served.
        at: ``ipc://PATH``, or ``tcp://127.0.0.1:PORT`` with a key.
        key: what clients on TCP must have.
        keep: folder in which states outlive this process.
        observe: names of the traces that may be recorded; None for all.
        ready: called once clients can come.
        stopped: ends it.

    Raises:
        InputError: the address is none, is taken, or needs a key.
    """
    address = Address.parse(at, "--at")
    if not address.path and key is None:
        raise InputError("--key", None, "a file with a key: on TCP nothing is answered without one")
    where = address.listen()
    try:
        server = Server(chips, key=key, observe=observe, keep=keep)
        ready()
        server.listen(where, stopped or threading.Event())
    finally:
        where.close()
        if address.path:
            with suppress(OSError):
                Path(address.path).unlink()
        chips.close()


def _send(link: Link, header: dict[str, Any]) -> None:
    with suppress(LostError):
        link.send(header)


def _error(number: int | None, error: Exception) -> dict[str, Any]:
    """Return an error as a frame says it; what was not foreseen says its name alone."""
    if isinstance(error, InputError):
        kind = "unsupported" if isinstance(error, UnsupportedError) else "input"
        words = {
            "key": error.key,
            "given": str(error.given)[:200],
            "allowed": error.allowed,
            "fix": error.fix,
        }
    elif isinstance(error, FrameError):
        kind, words = "frame", {"allowed": error.wanted}
    else:
        foreseen = isinstance(error, SimulationError) or type(error) is RuntimeError
        kind, words = "failed", {"allowed": str(error) if foreseen else type(error).__name__}
    return {"verb": "error", "id": number, "kind": kind, **words}
