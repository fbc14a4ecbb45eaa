"""Sockets: where chips can be, and whole frames in and out, each within a time limit.

Three kinds of place: a pair of sockets between a process and its child, a Unix socket that only its owner
can open, and TCP on the loopback interface, where nothing is answered without a key. Nothing listens beyond
this machine: a tunnel (``ssh -L``) brings another one's loopback here.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from numpy.typing import NDArray

from chips.wire.frames import PREFIX, FrameError, body_of, frame, header_of, lengths
from root.errors import InputError

__all__ = ["Address", "Link", "LostError", "read_key"]

MOST = 1 << 31
"""Longest body in bytes, unless something shorter is agreed upon."""

BUFFER = 1 << 22
"""Bytes that the kernel is asked to hold for a connection."""

LONGEST_PATH = 100
"""Bytes that the name of a Unix socket may have."""

KEY_BYTES = (16, 4096)
"""How long a key may be."""


class LostError(ConnectionError):
    """The other side has gone, or has not answered in time."""


@final
@dataclass(frozen=True)
class Address:
    """Where chips are: ``ipc://PATH`` or ``tcp://127.0.0.1:PORT``.

    Args:
        text: as it was written.
        path: of a Unix socket, or empty.
        host: of the loopback interface, or empty.
        port: of TCP.
    """

    text: str
    path: str = ""
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str, key: str = "chips.at") -> Address:
        """Return the address that `text` says.

        Raises:
            InputError: it is none, or one that others than this machine could reach.
        """
        kind, _, rest = text.partition("://")
        if kind == "ipc" and rest and "\0" not in rest:
            if len(os.fsencode(rest)) > LONGEST_PATH:
                raise InputError(key, text, f"ipc:// and a path of at most {LONGEST_PATH} bytes")
            return cls(text, path=rest)
        host, _, port = rest.rpartition(":")
        if kind == "tcp" and port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16:
            if not _is_loopback(host.strip("[]")):
                fix = "An ssh tunnel (ssh -L) brings the port of another machine here."
                raise InputError(key, text, "tcp:// on the loopback interface: 127.0.0.1 or [::1]", fix)
            return cls(text, host=host.strip("[]"), port=int(port))
        raise InputError(key, text, "ipc://PATH of a Unix socket, or tcp://127.0.0.1:PORT")

    def connect(self, timeout_s: float) -> Link:
        """Return a connection to whoever listens here.

        Raises:
            LostError: nobody does.
        """
        try:
            if self.path:
                made = socket.socket(socket.AF_UNIX)
                made.settimeout(timeout_s)
                made.connect(self.path)
            else:
                made = socket.create_connection((self.host, self.port), timeout_s)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise LostError(f"nobody answers at {self.text} ({error})") from None
        return Link(made)

    def listen(self) -> socket.socket:
        """Return a socket that listens here; a Unix socket that only its owner can open.

        Raises:
            InputError: the place is taken, or cannot be made.
        """
        try:
            if not self.path:
                family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
                made = socket.socket(family)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.bind((self.host, self.port))
            else:
                self._make_room()
                made = socket.socket(socket.AF_UNIX)
                before = os.umask(0o177)
                try:
                    made.bind(self.path)
                finally:
                    os.umask(before)
            made.listen(8)
        except OSError as error:
            raise InputError("--at", self.text, "a place where nobody listens yet", str(error)) from None
        return made

    def _make_room(self) -> None:
        """Remove the socket of a server that has gone; one that is still there keeps its place."""
        path = Path(self.path)
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise InputError(
                    "--at", self.text, "a path where nothing is, or a socket that was left behind"
                )
            try:
                self.connect(1.0).close()
            except LostError:
                path.unlink()
                return
            raise InputError("--at", self.text, "a place where nobody listens yet")


@final
class Link:
    """A connection: whole frames, each within a time limit.

    Args:
        made: a connected socket, which is this object's from now on.
        most: longest body in bytes.
    """

    def __init__(self, made: socket.socket, most: int = MOST) -> None:
        self._socket, self.most = made, most
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):  # a frame goes through in few pieces
            made.setsockopt(socket.SOL_SOCKET, option, BUFFER)

    @property
    def is_local(self) -> bool:
        """Whether the other side was let in by the file system: no TCP."""
        return self._socket.family == socket.AF_UNIX

    @property
    def is_ours(self) -> bool:
        """Whether the process on the other side of a Unix socket runs in this account, or as root."""
        raw = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return struct.unpack("3i", raw)[1] in (0, os.geteuid())

    def send(
        self, header: dict[str, Any], arrays: Sequence[NDArray[Any]] = (), within_s: float = 60.0
    ) -> None:
        """Send a frame.

        Raises:
            LostError: the other side has gone, or does not take it in time.
        """
        try:
            self._socket.settimeout(within_s)
            for piece in frame(header, arrays):
                self._socket.sendall(piece)
        except OSError as error:
            raise LostError(f"the connection was lost ({error})") from None

    def receive(self, within_s: float | None) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """Return the next frame.

        Args:
            within_s: longest time to wait for it; None for ever, where it need not come. A frame that has
                begun must be complete within a minute or this time.

        Raises:
            FrameError: what came is no frame of this version.
            LostError: the other side has gone, or nothing came in time.
        """
        first = self._read(1, within_s)
        rest_s = 60.0 if within_s is None else within_s
        header, body = lengths(bytes(first + self._read(PREFIX.size - 1, rest_s, begun=True)), self.most)
        raw = self._read(header, rest_s, begun=True)
        content = self._read(body, rest_s, begun=True)
        read = header_of(bytes(raw))
        return read, body_of(read, content)

    def _read(self, count: int, within_s: float | None, *, begun: bool = False) -> bytearray:
        found, place = bytearray(min(count, 1 << 24)), 0
        end = None if within_s is None else time.monotonic() + within_s
        while place < count:
            if place == len(found):  # what is only announced takes no memory
                found.extend(bytes(min(count - place, place)))
            try:
                self._socket.settimeout(None if end is None else max(0.001, end - time.monotonic()))
                got = self._socket.recv_into(memoryview(found)[place:])
            except TimeoutError:
                raise LostError(f"no answer within {within_s:g} s") from None
            except OSError as error:
                raise LostError(f"the connection was lost ({error})") from None
            if not got and (begun or place):
                raise FrameError("a whole frame: this one was cut", lost=True)
            if not got:
                raise LostError("the other side has closed the connection")
            place += got
        return found

    def close(self) -> None:
        """End the connection."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def read_key(file: str, key: str) -> bytes:
    """Return the key in a file.

    Args:
        file: its path; it must be readable by its owner alone.
        key: how the file is called where it was named.

    Raises:
        InputError: there is none, others can read it, or it is too short.
    """
    path = Path(file)
    try:
        if path.stat().st_mode & 0o077:
            raise InputError(key, file, "a file that only its owner can read", f"chmod 600 {file}")
        with path.open("rb") as opened:
            content = opened.read(KEY_BYTES[1] + 1).strip()
    except OSError as error:
        raise InputError(key, file, "a file that can be read", str(error)) from None
    if not KEY_BYTES[0] <= len(content) <= KEY_BYTES[1]:
        fix = "`openssl rand -hex 32` makes one"
        raise InputError(key, f"{len(content)} bytes", f"{KEY_BYTES[0]} to {KEY_BYTES[1]} bytes", fix)
    return content


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
