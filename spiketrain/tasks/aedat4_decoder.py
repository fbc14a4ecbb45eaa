"""Decodes AEDAT4 files: a script that runs in a process of its own and knows the library `aedat` alone.

The library is compiled code that takes files at their word: one that lies may make it panic, or ask for any
amount of memory. What ends here is this process, which has a limit of its own, and not the one that reads.

    python -I aedat4_decoder.py MEMORY_BYTES

Paths come in as JSON, one a line. For each, a line of JSON goes out, with ``width``, ``height`` and
``events``, or with an ``error``; and then the bytes of the events, as `EVENT` has them.
"""

from __future__ import annotations

import json
import resource
import sys

import numpy as np
from numpy.typing import NDArray

EVENT = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")])
"""Time in µs, pixel, and whether it became brighter."""

OWN_BYTES = 1 << 30
"""Address space of the interpreter and its libraries, beside the data."""

TWICE = 3
"""How often events lie in memory at once: as decoded, as kept, as joined."""


def decoded(path: str) -> tuple[int, int, NDArray[np.void]]:
    """Return width, height and events of the one stream of events in a file.

    Raises:
        ValueError: there is none, or several.
    """
    import aedat  # noqa: PLC0415 (an import that fails is an answer)

    decoder = aedat.Decoder(path)
    streams = {key: one for key, one in decoder.id_to_stream().items() if one["type"] == "events"}
    if len(streams) != 1:
        raise ValueError(f"{len(streams)} streams of events, where one is wanted")
    ((number, stream),) = streams.items()
    found = [np.zeros(0, EVENT)]
    for packet in decoder:
        if packet["stream_id"] == number and "events" in packet:
            events = packet["events"]
            kept = np.empty(len(events), EVENT)
            for name in EVENT.names or ():
                kept[name] = events[name]
            found.append(kept)
    return int(stream["width"]), int(stream["height"]), np.concatenate(found)


def main() -> None:
    """Answer every line."""
    limit = OWN_BYTES + TWICE * int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        head: dict[str, int | str]
        events = np.zeros(0, EVENT)
        try:
            width, height, events = decoded(json.loads(line))
            head = {"width": width, "height": height, "events": len(events)}
        except (RuntimeError, ValueError, OSError, MemoryError) as error:
            head = {"error": str(error).split("\n")[0] or type(error).__name__}
        sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + events.tobytes())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
