"""Several places are one population: of unequal speed, one of them silent for a while, or for good."""

import time
from dataclasses import replace

import pytest
import torch
from wired import NETWORK, Place, phases, places, population, same, weights

from chips.base import Chips
from chips.rack import ChipRack
from chips.wire.remote import SilentError
from root.errors import InputError


class Slow(Chips):
    """Chips that take their time."""

    def __init__(self, chips, seconds):
        self._chips, self._seconds = chips, seconds

    network = property(lambda self: self._chips.network)
    card = property(lambda self: self._chips.card)
    now_ms = property(lambda self: self._chips.now_ms)

    def program(self, weights):
        self._chips.program(weights)

    def present(self, phases, *presentation):
        time.sleep(self._seconds)
        return self._chips.present(phases, *presentation)

    def advance(self, milliseconds):
        self._chips.advance(milliseconds)

    def state(self):
        return self._chips.state()

    def restore(self, state):
        self._chips.restore(state)


def test_places_of_unequal_speed_are_one_population_to_the_last_bit():
    rack = ChipRack([Slow(population(2), 0.0), Slow(population(1, first=2), 0.3)], NETWORK)
    whole = population(3)
    assert rack.chips == 3
    for chips in (rack, whole):
        chips.program(weights(3))
    for number in range(2):
        assert same(
            rack.present(phases(record={"spikes"}), number), whole.present(phases(record={"spikes"}), number)
        )
    assert rack.answers.all()
    assert not rack.silent
    state = rack.state()
    rack.restore(state)
    assert rack.now_ms == whole.now_ms


def test_what_differs_between_chips_goes_to_its_own():
    rack, whole = ChipRack([population(2), population(1, first=2)], NETWORK), population(3)
    currents = (torch.rand(3, 3, 5, dtype=torch.float64), None)
    free, held = phases()
    target = torch.rand(3, 3, 3, dtype=torch.float64)
    asked = (
        replace(free, currents=currents),
        replace(held, controller=replace(held.controller, target=target)),
    )
    for chips in (rack, whole):
        chips.program(weights(3))
    assert same(rack.present(asked, "a"), whole.present(asked, "a"))


def test_a_silent_place_is_left_out_and_comes_back(tmp_path):
    with places(Place(tmp_path / "a", population), Place(tmp_path / "b", lambda: population(1, first=2))) as (
        a,
        b,
    ):
        rack, whole = ChipRack([p.remote(patience_s=0.3) for p in (a, b)], NETWORK), population(3)
        for chips in (rack, whole):
            chips.program(weights(3))
        assert same(rack.present(phases(), 0), whole.present(phases(), 0))
        b.kill()
        seen, whole_seen = rack.present(phases(), 1), whole.present(phases(), 1)
        assert rack.answers.tolist() == [True, True, False]
        assert torch.equal(seen["free"].rates[-1][:2], whole_seen["free"].rates[-1][:2])
        assert not seen["free"].rates[-1][2].any()
        assert seen["free"].rates[0].shape == whole_seen["free"].rates[0].shape
        began = time.monotonic()
        rack.program(weights(3, seed=1))  # it is not waited for again
        whole.program(weights(3, seed=1))
        assert time.monotonic() - began < 0.3
        b.start()
        time.sleep(1.1)
        back, whole_back = rack.present(phases(), 2), whole.present(phases(), 2)
        assert rack.answers.all()
        assert torch.equal(back["free"].rates[-1][:2], whole_back["free"].rates[-1][:2])
        assert back["free"].rates[-1][2].any()
        assert list(rack.silent) == [2]
        assert "missed 1 presentations" in rack.silent[2]
        a.kill()
        b.kill()
        with pytest.raises(SilentError, match="no chip answers"):
            rack.present(phases(), 3)
        a.start()
        b.start()


def test_a_place_that_stands_still_is_given_up(tmp_path):
    with places(Place(tmp_path / "a", lambda: Slow(population(), 1.5))) as (a,):
        rack = ChipRack([a.remote(patience_s=0.1, timeout_s=0.3), population(1, first=2)], NETWORK)
        rack.program(weights(3))
        rack.present(phases(), "a")
        assert rack.answers.tolist() == [False, False, True]
        assert "no answer within 0.3 s" in rack.silent[0]


def test_a_rack_needs_a_place():
    with pytest.raises(InputError, match=r"chips\.at"):
        ChipRack([], NETWORK)
