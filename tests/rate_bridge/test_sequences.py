"""Samples over time; their encodings against closed forms and against those of what stands still."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rate_bridge.encodings import CurrentEncoding, LatencyEncoding, PhaseEncoding, PoissonEncoding
from rate_bridge.encodings_in_time import DeltaEncoding, EventEncoding, LevelCrossingEncoding
from rate_bridge.sequences import Events, Series, split
from root.errors import InputError, UnsupportedError
from root.plugins import available, load

OVER_TIME = [name for name in available("encodings") if "series" in load("encodings", name).takes]


def encode(encoding, x, steps=60, dt_ms=1.0, seed=0):
    return encoding.encode(x, steps, dt_ms, 100.0, np.random.default_rng(seed))


def ragged(lengths=(5, 3, 6), inputs=2, step_ms=10.0, seed=0):
    g = np.random.default_rng(seed)
    return Series.of([g.random((n, inputs)) for n in lengths], step_ms)


class TestSamples:
    def test_rows_of_ragged_series_are_those_of_the_list_they_came_from(self):
        arrays = [np.arange(2 * n, dtype=float).reshape(n, 2) + 100 * n for n in (3, 1, 4)]
        x = Series.of(arrays, 5.0)
        for rows in (torch.tensor([2, 0, 2]), slice(1, 3), torch.tensor([], dtype=torch.int64)):
            taken = x[rows]
            wanted = [arrays[i] for i in torch.arange(3)[rows].tolist()]
            assert taken.values.tolist() == [row for one in wanted for row in one.tolist()]
            assert taken.parts.tolist() == [len(one) for one in wanted]
        assert len(x) == 3
        assert x.lasting_ms.tolist() == [15.0, 5.0, 20.0]
        assert [len(part) for part in split(x, 2)] == [2, 1]

    def test_rows_of_events(self):
        x = Events.of([[0.5, 2.0], [], [1.0]], [[3, 0], [], [2]], 4)
        back = x[torch.tensor([2, 1, 0])]
        assert back.times_ms.tolist() == [1.0, 0.5, 2.0]
        assert back.units.tolist() == [2, 3, 0]
        assert back.parts.tolist() == [1, 0, 2]
        assert back.sample.tolist() == [0, 2, 2]
        assert x.lasting_ms.tolist() == [3.0, 1.0, 2.0]

    @pytest.mark.parametrize(
        ("made", "key"),
        [
            (lambda: Series.of([np.zeros((2, 3)), np.zeros((2, 4))]), "sample 1"),
            (lambda: Series.of([np.zeros((0, 3))]), "sample 0"),
            (lambda: replace(ragged(), step_ms=0.0), "step_ms"),
            (lambda: Events.of([[1.0]], [[4]], 4), "units"),
            (lambda: Series(torch.zeros(4, 2, dtype=torch.float64), torch.tensor([2, 1])), "parts"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, made, key):
        with pytest.raises(InputError) as caught:
            made()
        assert caught.value.key == key


@pytest.mark.parametrize("name", OVER_TIME)
class TestEveryEncodingOfSeries:
    def test_a_sample_is_alone_and_nothing_comes_after_its_end(self, name):
        """Chip k sees the same whatever else is in the batch, but for what is random in it."""
        encoding, x = load("encodings", name)(), ragged()
        shown = encode(encoding, x)
        lines = encoding.lines(x.inputs)
        assert shown.shape == (3, 60, lines)
        assert shown.dtype == (torch.bool if encoding.kind == "spikes" else torch.float64)
        for sample, end in enumerate((50, 30, 60)):
            assert not shown[sample, end:].any()
            assert shown[sample, :end].any()
        assert torch.equal(encode(encoding, x), shown)

    @pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
    def test_values_out_of_range_are_refused(self, name, bad):
        with pytest.raises(InputError, match=r"\[0, 1\]"):
            encode(load("encodings", name)(), Series.of([[[0.5], [bad]]]))


def test_what_stands_still_is_what_a_value_is():
    """Series that do not change are encoded as their values, spike for spike."""
    g = torch.Generator().manual_seed(1)
    x = torch.rand(4, 5, dtype=torch.float64, generator=g)
    still = Series(x.repeat_interleave(6, 0), torch.full((4,), 6), 10.0)
    for encoding in (PhaseEncoding(), PhaseEncoding("zero"), PoissonEncoding()):
        assert torch.equal(encode(encoding, x), encode(encoding, still))
    current = encode(CurrentEncoding(-1.0, 2.0), still)
    assert torch.equal(current, encode(CurrentEncoding(-1.0, 2.0), x).unsqueeze(1).expand(-1, 60, -1))


@given(st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=12), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_phases_count_the_integral_of_the_rate(values, seed):
    x = Series.of([np.array(values)[:, None]], 5.0)
    spikes = encode(PhaseEncoding(), x, steps=60, seed=seed)[0, :, 0]
    reached = np.cumsum(np.repeat(values, 5)) * 0.1
    counts = np.cumsum(spikes.numpy())[: len(reached)]
    assert (np.abs(counts - reached) < 1 + 1e-6).all()


class TestDeltaModulation:
    def test_the_value_can_be_read_from_the_spikes(self):
        time = np.linspace(0, 4 * np.pi, 200)
        x = Series.of([(0.5 + 0.4 * np.sin(time))[:, None]])
        spikes = encode(DeltaEncoding(0.05), x, steps=200)[0].double()
        known = 0.05 * (spikes[:, 0] - spikes[:, 1]).cumsum(0)
        caught_up = 30  # it begins at 0 and may rise by one threshold a step
        assert (known - x.values[:, 0]).abs()[caught_up:].max() < 0.05 + 1e-9
        assert not (spikes[:, 0] * spikes[:, 1]).any()

    def test_a_start_at_the_first_value_tells_changes_alone(self):
        x = Series.of([[[0.7], [0.7], [0.2], [0.2], [0.2]]])
        spikes = encode(DeltaEncoding(0.25, "first"), x, steps=5)[0]
        assert spikes.int().tolist() == [[0, 0], [0, 0], [0, 1], [0, 1], [0, 0]]


def test_levels_that_are_crossed():
    x = Series.of([[[0.0], [0.3], [0.9], [0.9], [0.4], [0.0]]])
    spikes = encode(LevelCrossingEncoding(3), x, steps=6)[0].int()  # levels .25, .5, .75
    assert spikes.tolist() == [
        [0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1],
        [0, 0, 0, 1, 0, 0],
    ]


def test_lines_of_level_crossing_are_level_by_level():
    x = Series.of([[[0.0, 0.9]]])
    spikes = encode(LevelCrossingEncoding(2), x, steps=1)[0, 0].int()
    assert spikes.tolist() == [0, 1, 0, 1, 0, 0, 0, 0]


def test_events_fall_into_steps_and_groups():
    x = Events.of([[0.0, 0.49, 0.5, 1.99, 7.0], [0.9]], [[0, 1, 4, 5, 2], [3]], 6)
    spikes = encode(EventEncoding(group=2), x, steps=4, dt_ms=0.5).int()
    assert spikes[0].tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 1]]
    assert spikes[1].tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert EventEncoding(4).lines(6) == 2


def test_forms_that_an_encoding_does_not_take_are_refused():
    with pytest.raises(UnsupportedError, match="values over time"):
        encode(LatencyEncoding(), ragged())
    with pytest.raises(UnsupportedError, match="a value per input"):
        encode(DeltaEncoding(), torch.zeros(1, 2))
    with pytest.raises(UnsupportedError, match="events"):
        encode(PhaseEncoding(), Events.of([[0.0]], [[0]], 1))
