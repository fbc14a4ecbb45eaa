"""How two sides greet: on TCP each proves that it has the key, and neither says it.

::

    client  hello {session, nonce}
    server  challenge {nonce, proof}       TCP alone; proof = HMAC-SHA256(key, "server" nonces)
    client  proof {proof}                  TCP alone; proof = HMAC-SHA256(key, "client" nonces)
    server  welcome {process} card         or error
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any

from chips.wire.frames import FrameError
from chips.wire.links import Link, LostError
from root.errors import InputError

__all__ = ["greet", "greeted"]

SMALL = 1 << 16
"""Longest body in bytes before the greeting is over."""

GREETING_S = 10.0
"""Longest time that a greeting may take."""

SESSION = 64
"""Longest name of a session."""


def greet(link: Link, session: str, key: bytes | None) -> None:
    """Say hello to a server, and prove the key where there is one.

    Raises:
        InputError: the other side asks for a key and there is none, or has another one.
        LostError: it has gone.
    """
    nonce = secrets.token_hex(16)
    link.send({"verb": "hello", "session": session, "nonce": nonce}, within_s=GREETING_S)
    if link.is_local:
        return
    asked, _ = link.receive(GREETING_S)
    theirs = str(asked.get("nonce", ""))
    if key is None:
        raise InputError(
            "chips.key", None, "the file with the server's key", "Nothing is answered on TCP without."
        )
    if asked.get("verb") != "challenge" or not _same(
        asked.get("proof"), _proof(key, "server", nonce, theirs)
    ):
        raise InputError("chips.key", "another key than the server's", "the file with the server's key")
    link.send({"verb": "proof", "proof": _proof(key, "client", theirs, nonce)}, within_s=GREETING_S)


def greeted(link: Link, key: bytes | None) -> str:
    """Wait for a client's hello and let it prove the key; return the name of its session.

    Raises:
        FrameError: it says something else, or has not the key.
        LostError: it has gone, or is not of this account.
    """
    most, link.most = link.most, SMALL
    said, _ = link.receive(GREETING_S)
    match said:
        case {"verb": "hello", "session": str(session), "nonce": str(nonce)} if 0 < len(session) <= SESSION:
            pass
        case _:
            raise FrameError("hello first, with a session and a nonce", lost=True)
    if link.is_local:
        if not link.is_ours:
            raise LostError("somebody else's process")
    else:
        _challenge(link, key, nonce)
    link.most = most
    return session


def _challenge(link: Link, key: bytes | None, nonce: str) -> None:
    if key is None:
        raise FrameError("nobody: on TCP nothing is answered without a key", lost=True)
    ours = secrets.token_hex(16)
    link.send(
        {"verb": "challenge", "nonce": ours, "proof": _proof(key, "server", nonce, ours)}, within_s=GREETING_S
    )
    answer, _ = link.receive(GREETING_S)
    if answer.get("verb") != "proof" or not _same(answer.get("proof"), _proof(key, "client", ours, nonce)):
        raise FrameError("the server's key", lost=True)


def _proof(key: bytes, side: str, first: str, second: str) -> str:
    return hmac.new(key, f"{side}:{first}:{second}".encode(), hashlib.sha256).hexdigest()


def _same(given: Any, wanted: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode(), wanted.encode())
