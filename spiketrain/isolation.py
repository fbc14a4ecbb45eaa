"""Chips in a process of their own: what is hidden is there, and what trains is here.

The process is started before anything is trained and talked to through a pair of sockets; nothing listens.
It draws the seed of the chips itself, or reads it from a file, and never says it. It cannot be traced, nor
its memory read, by other processes of the same account (Linux; not by root).
"""

from __future__ import annotations

import ctypes
import os
import secrets
import socket
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from pydantic import Field

from chips.wire.frames import FrameError
from chips.wire.links import Link, LostError
from chips.wire.remote import Line
from chips.wire.server import Server
from mismatch import oracle
from mismatch.chip import ChipPopulation
from root.errors import InputError, SimulationError
from root.seeds import SeedTree
from spiketrain.config import Experiment
from spiketrain.config.problems import input_error
from spiketrain.config.sections import Section, Seed
from spiketrain.reading import read
from spiketrain.record.files import tensor_bytes, write_bytes

__all__ = ["hidden", "main", "start"]

START_S = 120.0
"""Longest time for the process to import its libraries and draw the chips."""

END_S = 5.0
"""Longest time for it to end by itself once nobody talks to it any more."""

SECRET_BITS = 63

NOT_TRACED = 4
"""``PR_SET_DUMPABLE`` of ``prctl``."""

ROOT = Path(__file__).resolve().parent.parent

BEGIN = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from spiketrain.isolation import main; main()"
"""What the process runs; of the environment nothing says where its modules are."""

KEPT = (
    "HOME",
    "LANG",
    "LC_ALL",
    "PATH",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "OMP_NUM_THREADS",
    "NUMBA_CACHE_DIR",
    "CXX",
)
"""Variables of the environment that it inherits."""


def start(experiment: Experiment) -> Line:
    """Start the process that has an experiment's chips.

    Raises:
        InputError: the file with the seed is wrong.
        SimulationError: the process did not start.
    """
    ours, theirs = socket.socketpair()
    env = {name: os.environ[name] for name in KEPT if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", BEGIN, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        env=env,
        start_new_session=True,
    )
    theirs.close()
    link = Link(ours)
    end = weakref.finalize(link, _end, process, ours)
    part = experiment.chips
    said = {"secret": part.secret, "folder": os.getcwd(), "observe": sorted(experiment.observed)}
    try:
        link.send({"verb": "begin", "config": _public(experiment), **said}, within_s=START_S)
        answer, _ = link.receive(START_S)
    except (LostError, FrameError) as error:
        end()
        raise SimulationError(f"the chips' process did not start: {error}") from None
    if answer.get("verb") != "ready":
        end()
        raise InputError(*(str(answer.get(name, "")) for name in ("key", "given", "allowed", "fix")))
    links = [link]

    def connect(_: float) -> Link:
        if not links:
            raise LostError("it has ended, and the chips with it")
        return links.pop()

    return Line("the chips' process", connect, timeout_s=part.timeout_s, patience_s=0.0)


def _public(experiment: Experiment) -> dict[str, Any]:
    config = experiment.resolved()
    return {**config, "chips": {}, "mismatch": {k: v for k, v in config["mismatch"].items() if k != "seed"}}


def _end(process: subprocess.Popen[bytes], ours: socket.socket) -> None:
    """End the process: it does so itself when its socket closes."""
    with suppress(OSError):
        ours.shutdown(socket.SHUT_RDWR)
    ours.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@final
class Secret(Section):
    """What the file says that is named by ``chips.secret``.

    Args:
        seed: of the chips.
        noise: of noise and initial states; null: of the chips' seed.
    """

    seed: Seed
    noise: Seed | None = Field(default=None)


@final
@dataclass(frozen=True)
class Hidden:
    """What this process alone knows: the seeds, where states are kept, and how the chips are called."""

    seed: int
    noise: SeedTree
    keep: Path | None
    identity: str


def main() -> None:
    """Be the process that has the chips; its only argument is the number of its socket."""
    _hide()
    link = Link(socket.socket(fileno=int(sys.argv[1])))
    threading.current_thread().name = "chips"
    said, _ = link.receive(START_S)
    try:
        server = _server(said)
    except InputError as error:
        words = {"key": error.key, "given": str(error.given), "allowed": error.allowed, "fix": error.fix}
        link.send({"verb": "error", **words})
        return
    link.send({"verb": "ready"})
    server.answer(link)


def _hide() -> None:
    """Keep other processes of this account from tracing this one or reading its memory."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(NOT_TRACED, 0, 0, 0, 0)


def _server(said: dict[str, Any]) -> Server:
    os.chdir(said["folder"])
    known = hidden(said["secret"])
    config = said["config"]
    config["mismatch"]["seed"] = known.seed
    experiment = Experiment.from_mapping(config)
    network = experiment.build_network()
    chips = ChipPopulation(network, experiment.build_mismatch(), experiment.build_simulator(), known.noise)
    return Server(
        chips,
        observe=frozenset(said["observe"]),
        keep=known.keep,
        retire=lambda path: _tell(chips, Path(path)),
        identity=known.identity,
    )


def hidden(file: str | None) -> Hidden:
    """Return the seeds that a file says, or new ones where there is none.

    Raises:
        InputError: the file says something else, or others can read it.
    """
    if file is None:
        drawn = SeedTree(secrets.randbits(SECRET_BITS)).child("chips")
        return Hidden(secrets.randbits(SECRET_BITS), drawn, None, secrets.token_hex(8))
    path = Path(file)
    if path.is_file() and path.stat().st_mode & 0o077:
        raise InputError("chips.secret", file, "a file that only its owner can read", f"chmod 600 {file}")
    raw = read(path)
    try:
        secret = Secret.model_validate(raw)
    except ValueError as error:
        raise input_error(error, raw, "chips.secret") from None  # type: ignore[arg-type]
    noise = SeedTree(secret.seed).child("noise") if secret.noise is None else SeedTree(secret.noise)
    return Hidden(secret.seed, noise.child("chips"), path.with_name(f"{path.name}.states"), "")


def _tell(chips: ChipPopulation, path: Path) -> None:
    """Write what the chips are made of, once nothing more is asked of them."""
    write_bytes(path, tensor_bytes(oracle.flatten(oracle.reveal(chips))))
