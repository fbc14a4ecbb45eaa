"""Training on simulated chips with random mismatch, deployment onto chips never seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

from torch import Tensor

from chips.base import Chips
from learning.model import Model
from learning.rule import Dense, LearningRule, Outer, Update
from learning.stimulus import Batch
from mismatch.chip import bench_of
from mismatch.distributions.stretched import Stretched
from mismatch.spec import MismatchSpec
from root.ranges import COUNT, GAIN, SHARE, check_ranges
from root.seeds import SeedTree
from spiketrain.arms.base import Arm
from spiketrain.arms.lesson import Lesson, Taught
from spiketrain.arms.oracle import tell
from spiking.network import Network

__all__ = ["Attack", "Aware"]


@final
@dataclass(frozen=True)
class Attack:
    r"""Weights that are moved against the task before they learn, chip by chip.

    .. math::
        W^\star_0 = W, \qquad
        W^\star_{k+1} = W^\star_k - \frac{\zeta}{K}\, |W| \odot \mathrm{sign}(\Delta W(W^\star_k)), \qquad
        \Delta = \Delta W(W) + \beta\, \Delta W(W^\star_K)

    so no weight moves by more than the share ζ of itself. Biases stay.

    Source: Büchel, Faber & Muir 2022 (ICLR, arXiv 2106.05009), whose attack raises the divergence from the
    output without attack; here it raises the loss of the task itself, as in Wu, Xia & Wang 2020,
    arXiv 2004.05884, so that every rule can carry it out.

    Args:
        size: ζ, at most 1.
        steps: K; each shows the batch once more.
        weight: β.
    """

    size: Annotated[float, SHARE] = 0.1
    steps: Annotated[int, COUNT] = 2
    weight: Annotated[float, GAIN] = 0.5

    def __post_init__(self) -> None:
        check_ranges(self, "training.arm.attack")

    def teach(self, lesson: Lesson, show: Callable[[], Taught]) -> Taught:
        """Show the batch with the weights as they are, and as the attack leaves them; return both lessons."""
        model = lesson.model
        kept = [w.detach().clone() for w in model.forward_weights]
        first = last = show()
        for _ in range(self.steps):
            for weight, own, change in zip(
                model.forward_weights, kept, last.update.of(model.network), strict=True
            ):
                if change is not None:
                    direction = change.weight().to(weight).sign()
                    weight.data -= (self.size / self.steps) * own.abs() * direction
            last = show()
        for weight, own in zip(model.forward_weights, kept, strict=True):
            weight.data = own
        pairs = zip(*(taught.update.of(model.network) for taught in (first, last)), strict=True)
        changes = tuple(_sum(own, attacked, self.weight) for own, attacked in pairs)
        return first._replace(update=replace(first.update, connections=changes))


@final
@dataclass(frozen=True)
class Aware(Arm):
    r"""One model is trained on different random chips in every batch; its weights go to all chips.

    The random chips are drawn from the distributions of the reported ones, with seeds of their own, so
    training learns to live with mismatch in general and nothing about any chip that is reported. A batch is
    shown to `draws` of them at once, and the model follows the mean of what they teach.

    They are simulations, so what is in them is known, and the rule is told it: the gradient goes back through
    the chip that was drawn, and a written weight's change is multiplied by its own deviation,

    .. math:: \Delta W = \big\langle (1 + \delta) \odot \Delta \tilde W \big\rangle_\delta, \qquad
        \tilde W = (1 + \delta) \odot W

    which is the gradient of the mean loss over chips. Without it (`told: false`) the backward pass is the
    design's, as for a chip that cannot be looked into, and what makes large weights costly is lost.

    Source: Murray & Edwards 1994, doi:10.1109/72.317730 (synaptic noise in training); Büchel et al. 2022,
    doi:10.1038/s42256-021-00446-1 lists the variants.

    Args:
        draws: random chips that a batch is shown to.
        strength: factor on all deviations from the design, > 0; imperfections stay as they are.
        told: whether the rule is told what is in the random chips.
        attack: what is done to the weights besides, or None.
    """

    draws: Annotated[int, COUNT] = 8
    strength: Annotated[float, GAIN] = 1.0
    told: bool = True
    attack: Attack | None = None

    name: ClassVar[str] = "aware"
    trains_elsewhere: ClassVar[str] = "other chips of the design, as simulations"
    one_model: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self, "training.arm")

    def check(self, rule: LearningRule, spec: MismatchSpec) -> None:
        Arm.check(self, rule, spec)
        if spec.is_ideal:
            self.refuse("offline or in_loop: no parameter deviates, so there is no mismatch to inject")

    def models(self, chips: int) -> int:
        return self.draws

    def keeps_outer(self, rule: LearningRule) -> bool:
        return self.attack is None and not (self.told and rule.uses_model)

    def population(self, chips: Chips, batch: Batch, model: Model, seeds: SeedTree) -> Chips:
        seed = int(seeds.child("draw", *batch.key).generator().integers(2**63))
        bench = bench_of(chips)
        spec = bench.spec
        deviations = dict(spec.deviations)
        if self.strength != 1.0:
            deviations = {name: Stretched(own, self.strength) for name, own in deviations.items()}
        return bench.sibling(replace(spec, chips=self.draws, first_chip=0, seed=seed, deviations=deviations))

    def teach(self, lesson: Lesson) -> Taught:
        def show() -> Taught:
            if not (self.told and lesson.rule.uses_model):
                return lesson.show()
            tell(lesson.chips, lesson.model)
            taught = lesson.show()
            return taught._replace(update=_written(taught.update, lesson.model))

        taught = show() if self.attack is None else self.attack.teach(lesson, show)
        return taught._replace(update=_together(taught.update, lesson.model.network))


def _sum(own: Outer | Dense | None, other: Outer | Dense | None, weight: float) -> Dense | None:
    """Return two changes of one connection as one."""
    if own is None or other is None:
        return None
    first, second = own.bias(), other.bias()
    bias = None if first is None or second is None else first + weight * second
    return Dense(own.weight() + weight * other.weight(), bias)


def _written(update: Update, model: Model) -> Update:
    """Return what an update of effective weights is for the weights that are written."""
    truth = model.truth
    assert truth is not None
    changes: list[Dense | None] = []
    for change, synapses, gain in zip(
        update.of(model.network), model.network.synapses, truth.gains, strict=True
    ):
        if change is None:
            changes.append(None)
        elif isinstance(change, Outer) and not synapses.dense:
            own = synapses.unshared.correlate(change.pre, change.post) / change.post.shape[1]
            weight = synapses.programmed(own * gain.to(own)) if change.learns else change.weight()
            changes.append(Dense(weight, change.bias()))
        elif not synapses.dense:  # a sum over synapses that share a number, which cannot be taken apart
            changes.append(Dense(change.weight(), change.bias()))
        else:
            weight = change.weight()
            changes.append(Dense(weight * gain.to(weight), change.bias()))
    return replace(update, connections=tuple(changes))


def _together(update: Update, network: Network) -> Update:
    """Return the update whose every part is the mean over the chips, on each of them."""

    def mean(value: Tensor) -> Tensor:
        return value.mean(0, keepdim=True).expand_as(value)

    def shared(value: Tensor) -> Tensor:
        return mean(value) if value.ndim > 1 and value.is_floating_point() else value

    changes = tuple(None if change is None else _mean(change) for change in update.of(network))
    return replace(
        update,
        connections=changes,
        feedback=None if update.feedback is None else tuple(mean(q) for q in update.feedback),
        memory={name: shared(value) for name, value in update.memory.items()},
        residual=None if update.residual is None else mean(update.residual),
        measures={name: mean(value) for name, value in update.measures.items()},
    )


def _mean(change: Outer | Dense) -> Outer | Dense:
    """Return the mean of a change over the chips; what is before and behind synapses stays apart."""
    if isinstance(change, Outer):
        chips, batch = change.post.shape[:2]
        pre = change.pre.expand(chips, -1, -1).reshape(1, chips * batch, -1)
        post = change.post.reshape(1, chips * batch, -1).expand(chips, -1, -1)
        return replace(change, pre=pre, post=post)
    weight, bias = change.weight(), change.bias()
    return Dense(
        weight.mean(0, keepdim=True).expand_as(weight),
        None if bias is None else bias.mean(0, keepdim=True).expand_as(bias),
    )
