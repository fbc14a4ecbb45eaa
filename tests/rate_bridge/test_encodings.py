import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rate_bridge.encodings import CurrentEncoding, Encoding, LatencyEncoding, PhaseEncoding, PoissonEncoding
from root.errors import InputError
from root.plugins import available, load

MAX_RATE_HZ = 100.0
values = st.floats(0.0, 1.0, allow_subnormal=False)


def encode(encoding, x, *, steps=200, dt_ms=1.0, max_rate_hz=MAX_RATE_HZ, seed=0):
    x = torch.as_tensor(x, dtype=torch.float64)
    return encoding.encode(x, steps, dt_ms, max_rate_hz, np.random.default_rng(seed))


OF_VALUES = [name for name in available("encodings") if "values" in load("encodings", name).takes]


@pytest.mark.parametrize("name", OF_VALUES)
class TestEveryEncoding:
    def test_shape_type_and_determinism(self, name):
        encoding = load("encodings", name)()
        assert isinstance(encoding, Encoding)
        x = torch.rand(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        first, again = encode(encoding, x), encode(encoding, x)
        assert torch.equal(first, again)
        if encoding.kind == "spikes":
            assert first.dtype == torch.bool
            assert first.shape == (3, 200, 5)
        else:
            assert first.dtype == torch.float64
            assert first.shape == (3, 5)

    def test_zero_is_silent(self, name):
        assert not encode(load("encodings", name)(), torch.zeros(2, 7)).any()

    @pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan"), float("inf")])
    def test_refuses_values_outside_the_range(self, name, bad):
        with pytest.raises(InputError, match=r"\[0, 1\]"):
            encode(load("encodings", name)(), [[0.5, bad]])

    def test_is_frozen(self, name):
        with pytest.raises(AttributeError):
            load("encodings", name)().kind = "nothing"


@given(st.lists(values, min_size=1, max_size=20), st.sampled_from([0.1, 0.5, 1.0, 2.0]), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_phase_counts_are_within_one_of_the_rate(x, dt_ms, seed):
    spikes = encode(PhaseEncoding(), [x], steps=300, dt_ms=dt_ms, seed=seed)
    expected = torch.tensor(x, dtype=torch.float64) * MAX_RATE_HZ * dt_ms / 1000
    for window in (slice(0, 300), slice(0, 150), slice(77, 191)):
        length = window.stop - window.start
        assert ((spikes[0, window].sum(0) - length * expected).abs() < 1 + 1e-6).all()


def test_phase_mean_is_exact_over_random_starts():
    counts = encode(PhaseEncoding(), torch.full((4000, 1), 0.337), steps=75).sum(1).double()
    assert float(counts.mean()) == pytest.approx(75 * 0.0337, abs=4 * 0.5 / 4000**0.5)


@pytest.mark.parametrize("x", [0.01, 0.07, 0.1, 0.29, 0.57, 0.58, 1.0])
def test_phase_from_zero_spikes_exactly_on_time(x):
    spikes = encode(PhaseEncoding(start="zero"), [[x]], steps=10_000)[0, :, 0]
    times = torch.nonzero(spikes).flatten()
    percent = round(100 * x)  # phase in integers: percent per step out of 1000
    assert times.tolist() == [-(-1000 * k // percent) - 1 for k in range(1, 10 * percent + 1)]


def test_phase_follows_the_integrator_it_replaces():
    x, dt_ms, generator = torch.rand(2, 3, dtype=torch.float64), 1.0, np.random.default_rng(0)
    phase = torch.from_numpy(generator.random((2, 3)))
    spikes = encode(PhaseEncoding(), x, steps=500)
    for t in range(500):
        phase += x * MAX_RATE_HZ * dt_ms / 1000
        assert torch.equal(phase >= 1, spikes[:, t])
        phase -= (phase >= 1).double()


@pytest.mark.parametrize("encoding", [PhaseEncoding(), PoissonEncoding()])
def test_one_spike_in_every_step_at_the_limit_and_an_error_above(encoding):
    assert encode(encoding, [[1.0]], max_rate_hz=1000.0).all()
    with pytest.raises(InputError, match="max_rate_hz"):
        encode(encoding, [[1.0]], max_rate_hz=1000.1)
    encode(CurrentEncoding(), [[1.0]], max_rate_hz=5000.0)


@given(values, st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_poisson_counts_are_binomial(x, seed):
    assume(x == 0 or x > 1e-4)  # random numbers are multiples of 2⁻²⁴
    spikes = encode(PoissonEncoding(), torch.full((1, 500), x), steps=400, seed=seed)
    p, n = x * 0.1, 500 * 400
    assert abs(float(spikes.sum()) - n * p) <= 6 * (n * p * (1 - p)) ** 0.5 + 1e-9


def test_poisson_variance_over_mean():
    counts = encode(PoissonEncoding(), torch.full((1, 20_000), 0.8), steps=100).sum(1).double()
    assert float(counts.var() / counts.mean()) == pytest.approx(1 - 0.08, rel=0.05)


@given(
    st.lists(values, min_size=2, max_size=30),
    st.sampled_from(["linear", "logarithmic"]),
    st.floats(0.001, 0.9),
    st.floats(0.05, 1.0),
    st.integers(1, 300),
)
@settings(max_examples=100, deadline=None)
def test_latency_order(x, curve, faintest, span, steps):
    spikes = encode(LatencyEncoding(curve, faintest, span), [sorted(x)], steps=steps)[0]
    count = spikes.sum(0)
    assert count.tolist() == [int(value >= faintest) for value in sorted(x)]
    times = spikes.int().argmax(0)[count > 0]
    assert (times.diff() <= 0).all()
    assert times.numel() == 0 or int(times.max()) < max(1.0, span * steps)


@pytest.mark.parametrize("curve", ["linear", "logarithmic"])
def test_latency_ends(curve):
    spikes = encode(LatencyEncoding(curve, 0.1), [[1.0, 0.1, 0.099, 0.0]], steps=50)[0]
    assert spikes[0].tolist() == [True, False, False, False]
    assert spikes[49].tolist() == [False, True, False, False]
    assert int(spikes.sum()) == 2


def test_current_is_the_value():
    x = torch.rand(4, 6, dtype=torch.float64)
    assert torch.equal(encode(CurrentEncoding(), x), x)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (PhaseEncoding, {"start": "one"}),
        (LatencyEncoding, {"curve": "square"}),
        (LatencyEncoding, {"faintest": 0.0}),
        (LatencyEncoding, {"faintest": 1.0}),
        (LatencyEncoding, {"span": 0.0}),
        (LatencyEncoding, {"span": 1.1}),
    ],
)
def test_options_are_checked(kind, options):
    with pytest.raises(InputError, match=next(iter(options))):
        kind(**options)
