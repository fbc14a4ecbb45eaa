"""Every kind of connection: three operations on programmed numbers, and the synapses that carry them."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from root.errors import InputError
from root.plugins import available
from spiking.connections import AveragePool2d, Conv2d, Dense, OneToOne, Recurrent, Sparse, Unconnected

CHIPS, BATCH = 3, 4


def listed(folder) -> Sparse:
    """Return a connection from a file, of synapses in no order."""
    g = torch.Generator().manual_seed(5)
    places = torch.randperm(12 * 7, generator=g)[:30]
    save_file({"pre": places // 7, "post": places % 7}, folder / "synapses.safetensors")
    return Sparse(str(folder / "synapses.safetensors"))


CASES = {
    "dense": lambda _: (Dense(), (2, 6), (7,)),
    "recurrent": lambda _: (Recurrent(), (6,), (6,)),
    "recurrent, with itself": lambda _: (Recurrent(self_connections=True), (6,), (6,)),
    "one_to_one": lambda _: (OneToOne(), (3, 4), (12,)),
    "average_pool2d": lambda _: (AveragePool2d(size=2, gain=1.5), (4, 6, 3), (2, 3, 3)),
    "conv2d": lambda _: (Conv2d(channels=5, kernel=3), (6, 5, 2), (4, 3, 5)),
    "conv2d, strides that leave a row": lambda _: (Conv2d(channels=2, kernel=3, stride=2), (6, 8), (2, 3, 2)),
    "conv2d, padded": lambda _: (Conv2d(channels=4, kernel=3, stride=2, padding=1), (5, 6, 3), (3, 3, 4)),
    "conv2d, kernels of one": lambda _: (Conv2d(channels=4, kernel=1), (5, 6, 3), (5, 6, 4)),
    "conv2d, channels first": lambda _: (
        Conv2d(channels=4, kernel=3, stride=2, padding=1, order="channels_first"),
        (3, 5, 6),
        (4, 3, 3),
    ),
    "average_pool2d, channels first": lambda _: (
        AveragePool2d(size=2, gain=1.5, order="channels_first"),
        (3, 4, 6),
        (3, 2, 3),
    ),
    "sparse": lambda folder: (listed(folder), (12,), (7,)),
    "none": lambda _: (Unconnected(), (12,), (7,)),
}


def test_every_registered_kind_has_a_case():
    assert set(available("connections")) <= {name.partition(",")[0] for name in CASES}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request, tmp_path):
    pattern, pre, post = request.param(tmp_path)
    synapses = pattern.between(pre, post)
    g = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    weights = normal(CHIPS, *synapses.parameters)
    return (
        pattern,
        synapses,
        weights,
        normal(CHIPS, BATCH, synapses.inputs),
        normal(CHIPS, BATCH, synapses.outputs),
    )


def test_three_operations_are_adjoint(case):
    _, synapses, weights, x, y = case
    forward = (y * synapses.apply(weights, x)).sum((1, 2))
    backward = (synapses.transposed(weights, y) * x).sum((1, 2))
    change = (synapses.correlate(x, y) * weights).flatten(1).sum(1)
    torch.testing.assert_close(backward, forward, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(change, forward, rtol=1e-12, atol=1e-12)


def test_the_wiring_says_the_same(case):
    """Synapse by synapse, with no operation of the connection's own."""
    _, synapses, weights, x, _ = case
    pre, post, parameter = synapses.wiring
    flat = weights.flatten(1)
    wanted = torch.zeros(CHIPS, BATCH, synapses.outputs, dtype=torch.float64)
    for i, j, k in zip(pre.tolist(), post.tolist(), parameter.tolist(), strict=True):
        wanted[..., j] += x[..., i] * flat[:, k, None]
    torch.testing.assert_close(synapses.apply(weights, x), wanted, rtol=1e-12, atol=1e-12)
    matrix = synapses.matrix(synapses.physical(weights))
    torch.testing.assert_close(torch.matmul(x, matrix), wanted, rtol=1e-12, atol=1e-12)
    order = (pre * synapses.outputs + post).diff()
    assert bool((order > 0).all())
    assert synapses.fan_in == (float(torch.bincount(post).max()) if len(post) else 1.0)
    assert synapses.count == len(pre)


def test_shared_numbers_are_summed_where_they_are_read_back(case):
    _, synapses, weights, _, _ = case
    g = torch.Generator().manual_seed(2)
    changes = torch.randn(CHIPS, *synapses.shape, generator=g, dtype=torch.float64)
    ours = (synapses.physical(weights) * changes).flatten(1).sum(1)
    theirs = (weights * synapses.programmed(changes)).flatten(1).sum(1)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_one_input_for_all_chips_is_enough(case):
    _, synapses, weights, x, y = case
    alone = synapses.apply(weights, x[:1])
    torch.testing.assert_close(alone, synapses.apply(weights, x[:1].expand_as(x)), rtol=1e-12, atol=1e-12)
    change = synapses.correlate(x[:1], y)
    torch.testing.assert_close(change, synapses.correlate(x[:1].expand_as(x), y), rtol=1e-12, atol=1e-12)


def test_the_shape_behind_follows():
    assert Dense().reaches((2, 6)) is None
    assert Conv2d(channels=5, kernel=3).reaches((6, 5, 2)) == (4, 3, 5)
    assert AveragePool2d(2).reaches((4, 6)) == (2, 3, 1)


def test_the_order_of_channels_is_that_of_the_axes():
    """The same convolution and the same mean, of the same image in another order."""
    g = torch.Generator().manual_seed(3)
    image = torch.randn(1, 2, 5, 6, 3, generator=g, dtype=torch.float64)
    for last in (Conv2d(channels=4, kernel=3, stride=2, padding=1), AveragePool2d(1, gain=2.0)):
        first = replace(last, order="channels_first")
        behind = last.reaches((5, 6, 3))
        assert first.reaches((3, 5, 6)) == (behind[2], *behind[:2])
        own, other = last.between((5, 6, 3), behind), first.between((3, 5, 6), (behind[2], *behind[:2]))
        weights = torch.randn(1, *own.parameters, generator=g, dtype=torch.float64)
        ours = own.apply(weights, image.flatten(2)).view(1, 2, *behind)
        theirs = other.apply(weights, image.permute(0, 1, 4, 2, 3).flatten(2))
        torch.testing.assert_close(theirs, ours.permute(0, 1, 4, 2, 3).flatten(2), rtol=1e-12, atol=1e-12)


def test_power_is_how_far_a_step_goes(case):
    """A step along what was correlated changes all that is behind by that much, for one sample."""
    _, synapses, _, x, y = case
    x, y = x[:, :1], y[:, :1]
    moved = synapses.apply(synapses.correlate(x, y), x)
    if synapses.dense:  # every neuron has numbers of its own
        torch.testing.assert_close(moved, synapses.power(x).unsqueeze(2) * y, rtol=1e-10, atol=1e-10)
    assert bool((synapses.power(x) >= 0).all())


@pytest.mark.parametrize(
    ("join", "key"),
    [
        (lambda: Conv2d(channels=2, kernel=3).between((9,), (9,)), "shape"),
        (lambda: Conv2d(channels=2, kernel=5).between((4, 4), (9,)), "kernel"),
        (lambda: Conv2d(channels=2, kernel=3, padding=3), "padding"),
        (lambda: Conv2d(channels=2, kernel=3).between((4, 4), (9,)), "shape"),
        (lambda: AveragePool2d(3).between((4, 6), (2, 3)), "size"),
        (lambda: OneToOne().between((4,), (5,)), "shape"),
        (lambda: Recurrent().between((4,), (5,)), "network.connections"),
    ],
)
def test_what_does_not_fit_is_refused(join, key):
    with pytest.raises(InputError, match=key):
        join()


def test_a_file_of_synapses_is_checked(tmp_path):
    listed(tmp_path)
    path = str(tmp_path / "synapses.safetensors")
    with pytest.raises(InputError, match="from 0 to 10"):
        Sparse(path).between((11,), (7,))
    with pytest.raises(InputError, match="sha256"):
        Sparse(path, sha256="0" * 64)
    save_file({"pre": torch.tensor([0, 0]), "post": torch.tensor([1, 1])}, path)
    with pytest.raises(InputError, match="two synapses"):
        Sparse(path).between((2,), (2,))
