"""The guard sets back the chips that fall and no others, by nothing but residuals and weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from learning.guard import GuardedStepper
from learning.model import Model
from learning.nlms import CentredNLMS
from learning.optimizers import SGD, Adam
from learning.rule import Dense, Outer, Update
from learning.stimulus import Stimulus
from rate_bridge.encodings import CurrentEncoding
from root.seeds import SeedTree
from spiking.network import chain
from spiking.neurons import Rate

CHIPS, BATCHES = 3, 5
SETTINGS = {"residual": None, "fall": 1.5, "back_off": 0.5, "batches": BATCHES}


def model() -> Model:
    network = chain([2, 3, 1], Rate())
    stimulus = Stimulus(network, CurrentEncoding(), SeedTree(1), 4, 2)
    return Model(network, stimulus, CHIPS, SeedTree(2), weight_gain=(1.0, 1.0), bias_spread=(0.0, 0.0))


def guarded(optimizer=None, **settings) -> tuple[Model, GuardedStepper]:
    learner = model()
    inner = (optimizer or SGD()).bind(learner, (1.0, 1.0))
    return learner, GuardedStepper(inner, learner, **{**SETTINGS, **settings})


def update(residual: list[float], step: float = 1.0) -> Update:
    """Return an update that adds `step` to every weight at a learning rate of 1."""
    sizes = ((2, 3), (3, 1))
    changes = tuple(Dense(torch.full((CHIPS, *size), step, dtype=torch.float64)) for size in sizes)
    return Update(changes, residual=torch.tensor(residual, dtype=torch.float64))


def first(learner: Model) -> Tensor:
    return learner.forward_weights[0].detach()[:, 0, 0].clone()


def test_without_a_fall_the_steps_are_those_of_the_inner_stepper_to_the_bit() -> None:
    (plain, _), (learner, guard) = guarded(), guarded()
    inner = SGD().bind(plain, (1.0, 1.0))
    for k in range(30):
        inner.apply(update([1.0 / (k + 1)] * CHIPS), 0.3)
        guard.apply(update([1.0 / (k + 1)] * CHIPS), 0.3)
    for a, b in zip(plain.parameters(), learner.parameters(), strict=True):
        assert torch.equal(a, b)
    assert guard.measures()["setbacks"].tolist() == [0] * CHIPS


def test_the_chip_that_falls_goes_back_to_where_it_was_best_and_steps_half_as_far() -> None:
    learner, guard = guarded()
    for _ in range(BATCHES):
        guard.apply(update([0.2, 0.2, 0.2]), 1.0)
    best = first(learner) - 1.0  # the weights with which the last of these residuals was seen
    for _ in range(2 * BATCHES):
        guard.apply(update([0.2, 0.8, 0.2]), 1.0)
        if guard.measures()["setbacks"][1] > 0:
            break
    assert guard.measures()["setbacks"].tolist() == [0, 1, 0]
    now = first(learner)
    assert now[1] == best[1]
    assert bool((now[[0, 2]] > best[[0, 2]] + 1).all())
    guard.apply(update([0.2, 0.2, 0.2]), 1.0)
    assert torch.allclose(first(learner) - now, torch.tensor([1.0, 0.5, 1.0], dtype=torch.float64))
    assert guard.measures()["step_scale"].tolist() == [1.0, 0.5, 1.0]


def test_noise_about_a_small_residual_is_no_fall() -> None:
    """A mean over a few batches goes above 1.05 times its lowest value by chance alone."""
    generator = torch.Generator().manual_seed(0)
    _, guard = guarded(fall=1.05, batches=10)
    means = []
    for _ in range(400):
        residual = (0.01 * torch.rand(CHIPS, generator=generator, dtype=torch.float64)).tolist()
        means.append(residual)
        guard.apply(update(residual), 0.01)
    running = torch.tensor(means).unfold(0, 10, 1).mean(-1)
    assert bool((running.max(0).values > 1.05 * running.min(0).values).all())
    assert guard.measures()["setbacks"].tolist() == [0] * CHIPS


def test_steps_shrink_with_the_residual_below_the_one_given() -> None:
    learner, guard = guarded(residual=0.4, fall=None)
    before = first(learner)
    guard.apply(update([0.8, 0.4, 0.1]), 1.0)
    assert torch.allclose(first(learner) - before, torch.tensor([1.0, 1.0, 0.25], dtype=torch.float64))


@pytest.mark.parametrize("optimizer", [SGD(momentum=0.9), Adam(), CentredNLMS()])
def test_a_chip_that_is_no_longer_finite_recovers_and_the_others_do_not_notice(optimizer) -> None:
    def outer(k: int, bad: bool) -> Update:
        post = torch.full((CHIPS, 4, 3), 0.1, dtype=torch.float64)
        if bad:
            post[1] = torch.nan
        pre = torch.rand(1, 4, 2, generator=torch.Generator().manual_seed(k), dtype=torch.float64)
        residual = torch.tensor([0.2, torch.nan if bad else 0.2, 0.2], dtype=torch.float64)
        return Update((Outer(pre, post), None), residual=residual)

    learner, guard = guarded(optimizer)
    undisturbed, calm = guarded(optimizer)
    for k in range(4 * BATCHES):
        guard.apply(outer(k, bad=k == 2 * BATCHES), 0.1)
        calm.apply(outer(k, bad=False), 0.1)
    assert all(bool(p.isfinite().all()) for p in learner.parameters())
    assert guard.measures()["setbacks"].tolist() == [0, 1, 0]
    for a, b in zip(learner.parameters(), undisturbed.parameters(), strict=True):
        assert torch.equal(a[[0, 2]], b[[0, 2]])
    before = first(learner)
    guard.apply(outer(99, bad=False), 0.1)
    assert bool((first(learner) != before).all())


def test_its_state_is_all_it_needs_to_go_on() -> None:
    def residuals(k: int) -> list[float]:
        return [0.2, 0.2 + 0.05 * k, 0.3]

    learner, guard = guarded(residual=0.25)
    for k in range(8):
        guard.apply(update(residuals(k)), 1.0)
    copy, resumed = guarded(residual=0.25)
    copy.load_state_dict(learner.state_dict())
    resumed.load_state_dict(guard.state_dict())
    for k in range(8, 30):
        guard.apply(update(residuals(k)), 1.0)
        resumed.apply(update(residuals(k)), 1.0)
    assert guard.measures()["setbacks"][1] > 0
    for a, b in zip(learner.parameters(), copy.parameters(), strict=True):
        assert torch.equal(a, b)
