"""Chips behind the wire are the chips themselves, and whatever else comes through it harms nothing."""

import json
import os
import socket
import stat
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from wired import NETWORK, Place, pair, phases, places, population, remote, same, weights

from chips.wire.codec import KINDS, pack, unpack
from chips.wire.frames import HEADER, PREFIX, FrameError, body_of, frame, header_of
from chips.wire.links import Address, LostError, read_key
from chips.wire.remote import Line, RemoteChips, SilentError
from chips.wire.server import Server, serve
from mismatch.imperfections.write_noise import WriteNoise
from root.errors import InputError, SimulationError, UnsupportedError
from spiking.hardware import Hardware
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import TRACES


def through(value):
    """Return what comes out of the wire for a value."""
    arrays = []
    pieces = frame({"value": pack(value, arrays)}, arrays)
    raw = b"".join(bytes(piece) for piece in pieces)
    header_bytes, body_bytes = PREFIX.unpack(raw[: PREFIX.size])[3:]
    header = header_of(raw[PREFIX.size : PREFIX.size + header_bytes])
    body = bytearray(raw[PREFIX.size + header_bytes :])
    assert len(body) == body_bytes
    return unpack(header["value"], body_of(header, body))


def test_what_is_shown_and_seen_goes_through_the_wire_to_the_last_bit():
    chips, programmed = population(), weights()
    chips.program(programmed)
    asked = phases(record=TRACES)
    for value in (programmed, asked, dict(chips.present(asked, "a", 1)), chips.card):
        first, second = [], []
        assert pack(through(value), second) == pack(value, first)
        assert all(
            a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True)
        )


def test_numbers_that_json_does_not_know_go_through_the_wire():
    value = {"a": float("inf"), 3: [float("-inf"), None, True], "c": (1, 2.5, "x"), "d": frozenset({"u"})}
    assert through(value) == value
    assert through(float("nan")) != through(float("nan"))
    empty = torch.zeros(2, 0, 3, dtype=torch.float32)
    assert through(empty).shape == empty.shape


def test_what_chips_are_made_of_cannot_go_through_the_wire():
    chips = population()
    assert Hardware.__name__ not in KINDS
    for value in (chips, chips.spec, object(), torch.zeros(1, dtype=torch.complex64)):
        with pytest.raises(TypeError):
            frame({}, _arrays(value))


def _arrays(value):
    arrays = []
    pack(value, arrays)
    return arrays


def test_the_same_bits_here_and_behind_the_wire():
    here, there = population(), remote(Server(population()))
    for chips in (here, there):
        chips.program(weights())
    one = [here.present(phases(), "batch", number) for number in range(2)]
    two = [there.present(phases(), "batch", number) for number in range(2)]
    assert all(same(a, b) for a, b in zip(one, two, strict=True))
    assert here.now_ms == there.now_ms > 0
    trials = here.trial(), there.trial()
    for trial in trials:
        trial.program(weights(seed=3))
        trial.advance(5.0)
    assert same(*(trial.present(phases(), "test") for trial in trials))
    assert trials[0].now_ms == trials[1].now_ms > here.now_ms == there.now_ms
    assert same(here.present(phases(), "after"), there.present(phases(), "after"))  # trials leave no trace


def test_what_the_chips_refuse_is_refused_by_name():
    chips = remote(Server(population(), observe=frozenset({"spikes"})))
    with pytest.raises(SimulationError, match="program the chips before"):
        chips.present(phases(), "a")
    with pytest.raises(InputError, match=r"weights.forward\[0\]"):
        chips.program(weights(chips=3))
    chips.program(weights())
    chips.present(phases(record={"spikes"}), "a")
    with pytest.raises(UnsupportedError, match=r"chips\.observe.*voltage"):
        chips.present(phases(record={"voltage"}), "a")
    with pytest.raises(InputError, match=r"network\.layers"):
        remote(Server(population()), chain([6, 4, 3], LIF(bias=0.8)))
    with pytest.raises(InputError, match="checksum"):
        remote(Server(population()), chain([6, 5, 3], LIF(bias=0.9)))


def test_states_stay_where_the_chips_are(tmp_path):
    noisy = {"write_noise": WriteNoise(0.1)}
    server = Server(population(**noisy), keep=tmp_path / "kept")
    here, there = population(**noisy), remote(server)
    for chips in (here, there):
        chips.program(weights())
    known = there.state()
    assert "memory" in here.state()
    assert not [v for v in json.loads(json.dumps(known))["kept"].values() if not isinstance(v, str | float)]
    for chips in (here, there):
        chips.program(weights(seed=1))
    again = remote(Server(population(**noisy), keep=tmp_path / "kept"))  # another process, later
    again.restore(known)
    back = population(**noisy)
    back.program(weights())
    for chips in (back, again):
        chips.program(weights(seed=1))
    assert same(back.present(phases(), "x"), again.present(phases(), "x"))
    forgetful = remote(Server(population(**noisy)))
    with pytest.raises(InputError, match="still kept"):
        forgetful.restore(known)


def test_a_request_that_comes_twice_is_done_once():
    chips = population(write_noise=WriteNoise(0.1))
    server = Server(chips)
    link = pair(server)
    link.send({"verb": "hello", "session": "s", "nonce": "n"})
    link.receive(5)
    arrays = []
    value = pack(weights(), arrays)
    for _ in range(2):
        link.send({"verb": "program", "of": 0, "drops": [], "id": 1, "value": value}, arrays)
        assert link.receive(5)[0]["verb"] == "done"
    assert chips.state()["memory"]["writes"] == 1


BAD = {
    "nothing understood": [b"GET / HTTP/1.1\r\n\r\n" + bytes(64)],
    "another version": [PREFIX.pack(b"STCW", 2, 0, 2, 0), b"{}"],
    "a header too long": [PREFIX.pack(b"STCW", 1, 0, HEADER + 1, 0)],
    "a body too long": [PREFIX.pack(b"STCW", 1, 0, 2, 1 << 40)],
    "cut": [PREFIX.pack(b"STCW", 1, 0, 100, 0), b'{"verb"'],
    "no JSON": [PREFIX.pack(b"STCW", 1, 0, 4, 0), b"nope"],
    "deep JSON": [PREFIX.pack(b"STCW", 1, 0, 200_000, 0), b"[" * 200_000],
    "no arrays": [PREFIX.pack(b"STCW", 1, 0, 2, 0), b"{}"],
    "an unknown verb": frame({"verb": "reveal", "of": 0, "drops": [], "id": 5, "value": None}),
    "no id": frame({"verb": "state"}),
    "an unknown trial": frame({"verb": "state", "of": 99, "drops": [], "id": 5, "value": None}),
    "no weights": frame({"verb": "program", "of": 0, "drops": [], "id": 5, "value": {"tuple": [1]}}),
    "time that runs backwards": frame({"verb": "advance", "of": 0, "drops": [], "id": 5, "value": -1.0}),
    "a state of its own": frame(
        {"verb": "restore", "of": 0, "drops": [], "id": 5, "value": {"map": [["sealed", "../../etc"]]}}
    ),
    "an unknown kind": frame(
        {"verb": "program", "of": 0, "drops": [], "id": 5, "value": {"kind": "Hardware", "of": {}}}
    ),
    "a kind of wrong fields": frame(
        {"verb": "program", "of": 0, "drops": [], "id": 5, "value": {"kind": "Weights", "of": {"forward": 1}}}
    ),
    "a tensor that is not there": frame(
        {"verb": "program", "of": 0, "drops": [], "id": 5, "value": {"tensor": 3}}
    ),
}
"""What may come after the greeting."""


@pytest.mark.parametrize("name", BAD)
def test_a_bad_frame_is_answered_with_an_error_and_harms_nothing(name):
    server = Server(population())
    chips = remote(server)
    chips.program(weights())
    before = chips.present(phases(), "a")
    chips.line.hang_up()
    link = pair(server)
    link.send({"verb": "hello", "session": "other", "nonce": "n"})
    assert link.receive(5)[0]["verb"] == "welcome"
    for piece in BAD[name]:
        link._socket.sendall(piece)
    link._socket.shutdown(socket.SHUT_WR)
    answer, _ = link.receive(5)
    assert answer["verb"] == "error"
    assert answer["allowed"]
    link.close()
    chips.program(weights())
    assert same(before, _at_the_start())
    chips.present(phases(), "b")


def _at_the_start():
    chips = population()
    chips.program(weights())
    return chips.present(phases(), "a")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nothing_that_is_drawn_at_random_ends_a_server(data):
    """Frames of random headers, values and bytes, and whole frames with some bytes changed."""
    json_values = st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-3, 3)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["kind", "of", "tensor", "tuple", "map", "list", "set", "float", "x"]),
                inner | st.sampled_from(sorted(KINDS)),
                max_size=2,
            )
        ),
        max_leaves=8,
    )
    verbs = st.sampled_from(["program", "present", "advance", "state", "restore", "trial", "retire", "x"])
    header = {"verb": data.draw(verbs), "of": 0, "drops": [], "id": 1, "value": data.draw(json_values)}
    raw = bytearray(b"".join(bytes(piece) for piece in frame(header)))
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    link = pair(SERVER)
    link.send({"verb": "hello", "session": "fuzz", "nonce": "n"})
    link.receive(5)
    link._socket.sendall(raw)
    link._socket.shutdown(socket.SHUT_WR)
    try:
        while True:
            assert link.receive(5)[0]["verb"] in ("error", "done")
    except LostError:
        link.close()
    chips = remote(SERVER)
    chips.program(weights())
    assert len(chips.present(phases(1, 4, controlled=False), "a")["free"].rates) == 3


SERVER = Server(population())


def test_a_server_is_used_by_one_session_whose_connection_may_break(tmp_path):
    with places(Place(tmp_path / "s", population)) as (place,):
        first = place.remote(patience_s=0.5)
        first.program(weights())
        with pytest.raises(InputError, match="another session"):
            place.remote(patience_s=0.5)
        first.line.hang_up()  # the connection breaks
        assert same(first.present(phases(), "a"), _at_the_start())
        first.close()
        second = place.remote(patience_s=2.0)
        second.program(weights())


def test_a_server_that_was_restarted_goes_on_where_it_was(tmp_path):
    here = population()
    with places(Place(tmp_path / "s", population)) as (place,):
        there = place.remote()
        trial = None
        for chips in (here, there):
            chips.program(weights())
            chips.present(phases(), "a")
        trial, here_trial = there.trial(), here.trial()
        for chips in (trial, here_trial):
            chips.program(weights(seed=2))
            chips.advance(3.0)
        place.kill()
        threading.Timer(0.3, place.start).start()
        assert same(there.present(phases(), "b"), here.present(phases(), "b"))
        assert there.now_ms == here.now_ms
        assert same(trial.present(phases(), "c"), here_trial.present(phases(), "c"))
        place.kill()
        with pytest.raises(SilentError, match="nobody answers"):
            RemoteChips(Line(place.address, Address.parse(place.address).connect, patience_s=0.2), NETWORK)
        place.start()


def test_chips_that_remember_are_not_taken_for_what_they_were(tmp_path):
    noisy = {"write_noise": WriteNoise(0.1)}
    with places(Place(tmp_path / "s", lambda: population(**noisy))) as (place,):
        chips = place.remote()
        chips.program(weights())
        place.kill()
        place.start()
        with pytest.raises(SilentError, match="lost what its synapses held"):
            chips.present(phases(), "a")


def test_a_socket_is_its_owners_alone_and_a_place_is_taken_once(tmp_path):
    path = tmp_path / "s"
    with places(Place(path, population)) as (place,):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(InputError, match="--at"):
            serve(population(), place.address)
    assert path.exists()  # as one that was killed leaves it
    stopped = threading.Event()
    serve(population(), place.address, ready=stopped.set, stopped=stopped)
    assert not path.exists()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="--at"):
        serve(population(), f"ipc://{tmp_path / 'file'}")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ipc://",
        "ipc:/x",
        "tcp://1.2.3.4:80",
        "tcp://0.0.0.0:80",
        "tcp://localhost:80",
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:x",
        "tcp://[::]:80",
        "http://127.0.0.1:80",
        "ipc://" + "x" * 200,
    ],
)
def test_an_address_that_is_none_or_that_others_can_reach_is_refused(text):
    with pytest.raises(InputError, match=r"chips\.at"):
        Address.parse(text)


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_on_tcp_nothing_is_answered_without_the_key():
    at, key = f"tcp://127.0.0.1:{free_port()}", b"0123456789abcdef"
    with pytest.raises(InputError, match="--key"):
        serve(population(), at)
    stopped, ready = threading.Event(), threading.Event()
    options = {"key": key, "ready": ready.set, "stopped": stopped}
    thread = threading.Thread(target=serve, args=(population(), at), kwargs=options)
    thread.start()
    try:
        ready.wait(5)
        connect = Address.parse(at).connect
        with pytest.raises(InputError, match=r"chips\.key"):
            assert Line(at, connect).card
        with pytest.raises(InputError, match=r"chips\.key"):
            assert Line(at, connect, key=b"another key than that").card
        link = connect(5)
        link.send({"verb": "hello", "session": "s", "nonce": "n"})
        assert link.receive(5)[0]["verb"] == "challenge"
        link.send({"verb": "proof", "proof": "guessed"})
        answer, _ = link.receive(5)
        assert answer == {"verb": "error", "id": None, "kind": "frame", "allowed": "the server's key"}
        chips = RemoteChips(Line(at, connect, key=key), NETWORK)
        chips.program(weights())
        assert same(chips.present(phases(), "a"), _at_the_start())
        chips.close()
    finally:
        stopped.set()
        thread.join()


def test_a_key_is_in_a_file_that_only_its_owner_can_read(tmp_path):
    file = tmp_path / "key"
    file.write_text("0123456789abcdef\n")
    os.chmod(file, 0o644)
    with pytest.raises(InputError, match="chmod 600"):
        read_key(str(file), "chips.key")
    os.chmod(file, 0o600)
    assert read_key(str(file), "chips.key") == b"0123456789abcdef"
    file.write_text("short")
    with pytest.raises(InputError, match="16 to 4096 bytes"):
        read_key(str(file), "chips.key")
    with pytest.raises(InputError, match="can be read"):
        read_key(str(tmp_path / "nothing"), "chips.key")


def test_frames_say_what_is_wrong_with_them():
    for entry in (
        [["float64", [3]]],
        [["float64", [-1]]],
        [["object", [1]]],
        [["bool", [8]]],
        [1],
        [["int64", [1, "x"]]],
    ):
        with pytest.raises(FrameError):
            body_of({"arrays": entry}, bytearray(b"\x02" * 8))
