"""One suite over every registered distribution: what it draws against what it states."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mismatch.distributions import (
    Correlated,
    DieShift,
    Distribution,
    Empirical,
    Lognormal,
    Mixture,
    Normal,
    TwoPoint,
    Uniform,
)
from mismatch.distributions.correlated import gaussian_field
from root.errors import InputError
from root.plugins import available, load

DRAWS = 40_000
cvs = st.floats(0.0, 0.5)


def rng(*seed):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    path = tmp_path_factory.mktemp("measured") / "thresholds.npy"
    np.save(path, rng(5).gamma(20.0, 0.03, 200))
    return str(path)


MEMBERS = {
    "normal": lambda _: st.builds(Normal, st.floats(0.0, 0.54), st.floats(0.3, 6.0)),
    "lognormal": lambda _: st.builds(Lognormal, st.floats(0.0, 0.5)),
    "uniform": lambda _: st.builds(Uniform, st.floats(0.0, 0.57)),
    "two_point": lambda _: st.builds(TwoPoint, cvs, st.floats(0.05, 0.75)),
    "empirical": lambda file: st.builds(Empirical, st.just(file), nominal=st.sampled_from([None, 0.55])),
    "correlated": lambda _: st.builds(Correlated, cvs, st.floats(0.1, 3.0), st.floats(0.0, 1.0)),
    "die_shift": lambda _: st.builds(
        DieShift, cvs, st.sampled_from([None, {"distribution": "lognormal", "cv": 0.2}])
    ),
    "mixture": lambda _: st.builds(
        lambda cv, scale, weight: Mixture(
            (
                {"distribution": "normal", "cv": cv, "weight": weight},
                {"distribution": "uniform", "cv": 0.3, "weight": 1, "scale": scale},
            )
        ),
        cvs,
        st.floats(0.2, 3.0),
        st.floats(0.1, 10.0),
    ),
}
"""Strategies by name: a distribution joins the suite by being registered and listed here."""


def sample(distribution, seed):
    """Draw from many dies, so that what is common to a die and its neighbourhoods is sampled too."""
    if isinstance(distribution, DieShift):
        rows = [distribution.factors(rng(seed, k), rng(seed, k, 1), (4,)) for k in range(DRAWS // 20)]
    elif isinstance(distribution, Correlated):
        rows = [distribution.factors(rng(seed, k), rng(seed, k, 1), (20, 20)) for k in range(DRAWS // 400)]
    else:
        rows = [distribution.factors(rng(seed), rng(seed, 1), (DRAWS,))]
    return np.concatenate([row.reshape(-1) for row in rows])


def independent(distribution):
    """Return how many of the draws count as independent in an estimate of the mean."""
    if isinstance(distribution, DieShift):
        return DRAWS // 20
    if isinstance(distribution, Correlated):
        return DRAWS / (1 + 2 * math.pi * distribution.length**2)
    return DRAWS


def test_every_registered_distribution_is_tested():
    assert sorted(MEMBERS) == available("distributions")


@pytest.mark.parametrize("name", available("distributions"))
class TestEveryDistribution:
    @given(data=st.data(), seed=st.integers(0, 2**32))
    @settings(max_examples=12, deadline=None, derandomize=True)
    def test_mean_cv_and_support_are_as_stated(self, name, measured, data, seed):
        distribution = data.draw(MEMBERS[name](measured))
        assert isinstance(distribution, Distribution)
        assert type(distribution) is load("distributions", name)
        drawn = sample(distribution, seed)
        mean, sd, n = distribution.mean, distribution.cv * distribution.mean, independent(distribution)
        assert drawn.mean() == pytest.approx(mean, abs=6 * sd / n**0.5 + 1e-12)
        fourth = np.mean((drawn - mean) ** 4)
        spread = max(0.0, fourth - sd**4) ** 0.5 / n**0.5  # standard error of the variance
        assert np.mean((drawn - mean) ** 2) == pytest.approx(sd**2, abs=7 * spread + 1e-12)
        low, high = distribution.support
        assert low - 1e-12 <= drawn.min()
        assert drawn.max() <= high + 1e-12
        assert drawn.min() > 0

    @given(data=st.data(), seed=st.integers(0, 2**32))
    @settings(max_examples=8, deadline=None)
    def test_a_draw_is_a_function_of_the_seed_and_the_shape(self, name, measured, data, seed):
        distribution = data.draw(MEMBERS[name](measured))
        for shape in ((7,), (5, 3), (1,)):
            first = distribution.factors(rng(seed), rng(seed, 1), shape)
            assert first.dtype == np.float64
            assert first.shape == shape
            np.testing.assert_array_equal(first, distribution.factors(rng(seed), rng(seed, 1), shape))

    @given(data=st.data())
    @settings(max_examples=1, deadline=None)
    def test_is_frozen(self, name, measured, data):
        with pytest.raises(AttributeError):
            data.draw(MEMBERS[name](measured)).anything = 1


@pytest.mark.parametrize(
    "kind", [Normal, Lognormal, Uniform, TwoPoint, lambda cv: Correlated(cv, 2.0), DieShift]
)
def test_no_mismatch_means_exactly_one(kind):
    assert (kind(0.0).factors(rng(1), rng(2), (50,)) == 1.0).all()


def test_normal_of_the_standard_experiment():
    normal = Normal(0.2)
    assert normal.sigma == pytest.approx(0.20011, abs=1e-5)
    assert normal.support == pytest.approx((0.1996, 1.8004), abs=1e-4)


@given(st.floats(0.001, 0.54), st.floats(0.05, 6.0))
@settings(max_examples=60, deadline=None)
def test_normal_agrees_with_the_truncated_normal_of_scipy(cv, limit):
    from scipy.stats import truncnorm  # noqa: PLC0415 (slow to import)

    normal = Normal(cv, limit)
    reference = truncnorm(-normal.cut, normal.cut, loc=1.0, scale=normal.sigma)
    assert reference.std() == pytest.approx(cv, rel=1e-5)
    assert normal.support == pytest.approx(reference.support())
    assert normal.support[0] >= 0.05 - 1e-12
    scores = np.linspace(-6, 6, 25)
    from scipy.stats import norm  # noqa: PLC0415

    np.testing.assert_allclose(normal.of_scores(scores), reference.ppf(norm.cdf(scores)), rtol=1e-6)


@pytest.mark.parametrize("length", [0.7, 2.0, 6.0])
@pytest.mark.parametrize("white", [0.0, 0.4])
def test_correlation_length_and_white_part(length, white):
    distribution = Correlated(0.2, length, white)
    drawn = np.stack([distribution.draw(rng(3, k), (60, 70)) for k in range(60)]) - 1
    variance = 0.2**2
    assert (drawn**2).mean() == pytest.approx(variance, rel=0.1)
    for step in (1, 2, 5, 9):
        expected = (1 - white) * math.exp(-(step**2) / (2 * length**2))
        assert (drawn[:, step:] * drawn[:, :-step]).mean() / variance == pytest.approx(expected, abs=0.06)
        assert (drawn[..., step:] * drawn[..., :-step]).mean() / variance == pytest.approx(expected, abs=0.06)


def test_neurons_fill_a_square_grid_row_by_row():
    distribution = Correlated(0.2, 1.5, 0.0)
    drawn = np.stack([distribution.draw(rng(4, k), (30,)) for k in range(5000)]) - 1  # 6 columns, 5 rows
    correlation = np.corrcoef(drawn.T)
    neighbour = math.exp(-1 / (2 * 1.5**2))
    assert correlation[0, 1] == pytest.approx(neighbour, abs=0.03)
    assert correlation[0, 6] == pytest.approx(neighbour, abs=0.03)
    assert correlation[5, 6] == pytest.approx(math.exp(-26 / (2 * 1.5**2)), abs=0.06)


@pytest.mark.parametrize(("rows", "columns", "length"), [(1, 1, 15.0), (2, 40, 8.0)])
def test_field_has_its_variance_on_grids_smaller_than_its_length(rows, columns, length):
    fields = np.stack([gaussian_field(rng(5, k), rows, columns, length) for k in range(1500)])
    assert fields.var(axis=0).mean() == pytest.approx(1.0, abs=0.12)
    if columns > 8:
        assert np.mean(fields[:, :, 8:] * fields[:, :, :-8]) == pytest.approx(math.exp(-0.5), abs=0.08)


def test_die_shift_is_common_to_the_layers_of_a_chip_and_differs_between_chips():
    distribution = DieShift(0.2)
    layers = [distribution.factors(rng(layer), rng(9), shape) for layer, shape in enumerate([(5,), (3, 2)])]
    assert len(np.unique(np.concatenate([layer.reshape(-1) for layer in layers]))) == 1
    assert distribution.factors(rng(0), rng(10), (5,))[0] != layers[0][0]
    within = DieShift(0.3, {"distribution": "normal", "cv": 0.1}).factors(rng(0), rng(9), (20_000,))
    assert within.std() / within.mean() == pytest.approx(0.1, rel=0.03)


def test_two_points_in_the_stated_shares():
    drawn = TwoPoint(0.3, 0.2).draw(rng(0), (50_000,))
    assert sorted(set(drawn)) == pytest.approx([0.85, 1.6])
    assert (drawn > 1).mean() == pytest.approx(0.2, abs=0.01)


class TestEmpirical:
    values = (0.5, 1.0, 1.5, 3.0)

    def write(self, folder, name):
        path = folder / name
        if name.endswith(".npy"):
            np.save(path, np.reshape(self.values, (2, 2)))
        elif name.endswith(".npz"):
            np.savez(path, other=np.ones(3), theta=self.values)
        else:
            header = "tau, theta\n" if name == "named.csv" else ""
            path.write_text(header + "\n".join(f"7,{value}" for value in self.values) + "\n")
        return str(path)

    @pytest.mark.parametrize(
        ("name", "column"),
        [("a.npy", None), ("a.npz", "theta"), ("named.csv", "theta"), ("plain.csv", "1")],
    )
    def test_every_format(self, tmp_path, name, column):
        distribution = Empirical(self.write(tmp_path, name), column)
        np.testing.assert_allclose(np.sort(distribution.values), np.array(self.values) / 1.5)
        assert set(distribution.draw(rng(0), (1000,))) == set(distribution.values)
        assert Empirical(distribution.file, column, nominal=1.0).mean == pytest.approx(1.5)

    def test_refuses_bad_files(self, tmp_path):
        (tmp_path / "text.csv").write_text("theta\none\ntwo\n")
        (tmp_path / "short.csv").write_text("theta\n1.0\n")
        (tmp_path / "empty.csv").write_text("")
        (tmp_path / "ragged.csv").write_text("a,b\n1,2\n3\n")
        (tmp_path / "negative.csv").write_text("1\n-1\n")
        (tmp_path / "nan.csv").write_text("1\nnan\n")
        (tmp_path / "junk.npy").write_bytes(bytes(range(256)))
        (tmp_path / "junk.npz").write_bytes(b"PK\x03\x04" + bytes(100))
        (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81")
        (tmp_path / "values.txt").write_text("1\n2\n")
        (tmp_path / "folder.csv").mkdir()
        np.save(tmp_path / "pickled.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
        for path in [*tmp_path.iterdir(), tmp_path / "missing.csv"]:
            with pytest.raises(InputError, match=path.name):
                Empirical(str(path), "b" if path.name == "ragged.csv" else None)

    @pytest.mark.parametrize(
        ("name", "column", "nominal", "key"),
        [
            ("a.npz", None, None, "column"),
            ("a.npz", "thetta", None, "did you mean 'theta'"),
            ("named.csv", None, None, "column"),
            ("a.npy", "theta", None, "column"),
            ("a.npy", None, 0.0, "nominal"),
        ],
    )
    def test_refuses_bad_options(self, tmp_path, name, column, nominal, key):
        with pytest.raises(InputError, match=key):
            Empirical(self.write(tmp_path, name), column, nominal)


NORMAL = {"distribution": "normal", "cv": 0.1, "weight": 1}


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Normal(-0.1), "cv"),
        (lambda: Normal(0.6), "lognormal"),
        (lambda: Normal(float("nan")), "cv"),
        (lambda: Normal(0.1, 0.0), "limit"),
        (lambda: Lognormal(float("inf")), "cv"),
        (lambda: Uniform(0.58), "cv"),
        (lambda: TwoPoint(0.1, 0.0), "high_fraction"),
        (lambda: TwoPoint(1.1), "cv"),
        (lambda: Correlated(0.1, 0.0), "length"),
        (lambda: Correlated(0.1, 1e6), "length"),
        (lambda: Correlated(0.1, 1.0, 1.1), "white"),
        (lambda: Correlated(0.7, 1.0), "cv"),
        (lambda: DieShift(0.7), "shift_cv"),
        (lambda: DieShift(0.1, {"distribution": "norml", "cv": 0.1}), "did you mean 'normal'"),
        (lambda: DieShift(0.1, {"distribution": "die_shift", "shift_cv": 0.1}), "local.distribution"),
        (lambda: DieShift(0.1, {"cv": 0.1}), "local.distribution"),
        (lambda: Mixture((NORMAL,)), "components"),
        (lambda: Mixture((NORMAL, {**NORMAL, "weight": 0})), r"components\.1\.weight"),
        (lambda: Mixture((NORMAL, {"distribution": "normal", "cv": 0.1})), r"components\.1\.weight"),
        (lambda: Mixture((NORMAL, {**NORMAL, "scale": -1.0})), r"components\.1\.scale"),
        (lambda: Mixture((NORMAL, {**NORMAL, "cv": "wide"})), r"components\.1\.cv"),
        (lambda: Mixture((NORMAL, {**NORMAL, "cv": 0.9})), r"components\.1\.cv"),
        (lambda: Mixture((NORMAL, {**NORMAL, "limmit": 3.0})), "did you mean 'limit'"),
        (lambda: Mixture((NORMAL, {"distribution": "normal", "weight": 1})), r"components\.1\.cv"),
        (
            lambda: Mixture((NORMAL, {"distribution": "die_shift", "shift_cv": 0.1, "weight": 1})),
            "die_shift",
        ),
    ],
)
def test_bad_options_are_refused_by_name(make, key):
    with pytest.raises(InputError, match=key):
        make()
