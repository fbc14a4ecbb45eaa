"""Where the controller's feedback weights come from: one class per origin, found by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.model import Model
from learning.stimulus import Batch
from root.errors import InputError, UnsupportedError
from root.files import checksum
from root.plugins import available, load
from root.ranges import GAIN, check_ranges
from spiking.network import Network
from spiking.presentation import Noise, Observation, Phase
from spiking.tensor_files import read_tensors

__all__ = [
    "Estimate",
    "FeedbackWeights",
    "GivenFeedback",
    "RandomFeedback",
    "WeightProduct",
    "identity",
    "random_weights",
    "scaled",
]


@final
@dataclass(frozen=True)
class Estimate:
    """What a batch taught about the feedback weights.

    Args:
        feedback: the new weights, or None to keep them.
        memory: entries to set in the model's memory.
    """

    feedback: tuple[Tensor, ...] | None = None
    memory: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class FeedbackWeights(ABC):
    """An origin of feedback weights Q_l, ``(chips, n_out, n_l)``; the last is or starts as the identity.

    Args:
        scale: root mean square of every hidden layer's feedback weights, or None to leave them as
            large as they come out.
    """

    scale: Annotated[float, GAIN] | None = 0.1

    plugin_group: ClassVar[str] = "feedback"
    origin: ClassVar[str]
    uses_model: ClassVar[bool] = False
    """Whether the weights are made from the forward weights, so that the true ones would change them."""

    relayed: ClassVar[bool | None] = False
    """Whether these are the weights of layered feedback (True), of direct feedback (False), or of both
    (None)."""

    follows: ClassVar[bool] = False
    """Whether the weights change with every step of the forward weights."""

    def __post_init__(self) -> None:
        check_ranges(self, "rule.feedback")

    def check(self, network: Network) -> None:
        """Raise `UnsupportedError` where these weights cannot be had for `network`."""
        if self.relayed is not None and self.relayed != network.feedback.relayed:
            kinds = (load("feedback", name) for name in available("feedback"))
            suited = [k.origin for k in kinds if k.relayed in (None, network.feedback.relayed)]
            allowed = f"{', '.join(suited)}, with network.feedback: {network.feedback.origin}"
            raise UnsupportedError("rule.feedback.name", self.origin, allowed)

    def start(self, model: Model) -> tuple[Tensor, ...]:
        """Return the weights before the first batch."""
        return self.current(model)

    @abstractmethod
    def current(self, model: Model) -> tuple[Tensor, ...]:
        """Return the weights to program now."""

    @property
    def warmup_batches(self) -> int:
        """Batches shown before training, to learn the weights on."""
        return 0

    def warmup_phases(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        """Return the phases of a warm-up batch; none means the rule's own presentation."""
        return ()

    @property
    def abilities(self) -> frozenset[str]:
        """What the machine must be able to do, by the names of `Phase.needs`."""
        return frozenset()

    def noise(self, batch: Batch, model: Model) -> Noise | None:
        """Return noise that the rule's controlled presentation should have."""
        return None

    def phases(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        """Return what a training batch must show beside the rule's own phases."""
        return ()

    def follow(self, changes: tuple[Tensor, ...], model: Model) -> tuple[Tensor, ...]:
        """Return the weights after a step of the forward weights, where `follows`.

        Args:
            changes: what the step added to the weights of every connection.
            model: after the step; its forward weights may decay here.
        """
        raise NotImplementedError

    def strength(self, model: Model, feedback: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        r"""Return κ per hidden layer, ``(chips,)``, for layered feedback.

        With it the root mean square of :math:`\kappa_l\, B_L \cdots B_{l+1}`, the currents that a control
        signal gives with all gates at 1, is `scale`; without a scale κ is 1.
        """
        products = self.end_to_end(model, feedback)[:-1]
        if self.scale is None:
            return tuple(product.new_ones(len(product)) for product in products)
        sizes = (product.square().mean(dim=(1, 2)).sqrt() for product in products)
        return tuple(self.scale / size.clamp(min=1e-9) for size in sizes)

    def end_to_end(self, model: Model, feedback: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return what a control signal comes to with all gates at 1, ``(chips, n_out, n_l)`` per layer."""
        return model.network.end_to_end(feedback)

    def estimate(self, batch: Batch, observation: Observation, model: Model) -> Estimate:
        """Return what a batch, of the warm-up or of training, taught."""
        return Estimate()


def identity(model: Model) -> Tensor:
    """Return the output layer's feedback weights, ``(chips, n_out, n_out)``."""
    eye = torch.eye(model.network.outputs, dtype=torch.float64, device=model.device)
    return eye.expand(model.chips, -1, -1).clone()


def scaled(weights: Tensor, scale: float | None) -> Tensor:
    """Return `weights` with the root mean square `scale`, chip by chip; with None as they are."""
    if scale is None:
        return weights
    size = weights.square().mean(dim=(1, 2), keepdim=True).sqrt()
    return weights * (scale / size.clamp(min=1e-9))


def random_weights(model: Model, scale: float | None) -> list[Tensor]:
    """Return normal weights for every hidden layer, drawn once and the same on every chip.

    Without a scale, and with layered feedback, their standard deviation is one over the root of the number of
    signals that reach a neuron, so that what is relayed keeps its size.
    """
    layers = []
    kept = scale is None or model.network.feedback.relayed
    for index, own in enumerate(model.network.feedback_synapses[:-1]):
        drawn = model.seeds.child("feedback", index).generator().standard_normal(own.shape)
        noise = torch.from_numpy(drawn).to(model.device).expand(model.chips, *own.shape)
        layers.append(noise / own.fan_in**0.5 if kept else scaled(noise, scale))
    return layers


@final
@dataclass(frozen=True)
class WeightProduct(FeedbackWeights):
    r""":math:`Q_l \propto (W_{l+1} \cdots W_L)^\top`, of the programmed weights, anew for every batch.

    The rule knows what it wrote, not what the chip made of it, so this is the nominal Jacobian
    without the slopes: the sum over all paths from the layer to the output, but for those that lead back.

    Source: Meulemans et al. 2021, arXiv 2106.07887, section 3 (condition 2 holds approximately).
    """

    origin: ClassVar[str] = "weight_product"
    uses_model: ClassVar[bool] = True

    def current(self, model: Model) -> tuple[Tensor, ...]:
        depth = model.network.depth
        products, layers = {depth: identity(model)}, [identity(model)]
        for layer in range(depth - 1, 0, -1):
            paths = [
                model.back(index, products[c.post]).detach()
                for index, c in enumerate(model.network.connections)
                if c.pre == layer < c.post
            ]
            products[layer] = sum(paths[1:], paths[0])
            layers.append(scaled(products[layer], self.scale))
        return tuple(reversed(layers))


@final
@dataclass(frozen=True)
class RandomFeedback(FeedbackWeights):
    """Normal random weights, drawn once from the rule's stream and the same on every chip.

    Source: Lillicrap et al. 2016, doi:10.1038/ncomms13276 (for backpropagated errors).
    """

    origin: ClassVar[str] = "random"
    relayed: ClassVar[bool | None] = None

    def start(self, model: Model) -> tuple[Tensor, ...]:
        return (*random_weights(model, self.scale), identity(model))

    def current(self, model: Model) -> tuple[Tensor, ...]:
        return model.feedback


@final
@dataclass(frozen=True)
class GivenFeedback(FeedbackWeights):
    """Weights read from a safetensors file, such as a finished run's ``weights.safetensors``.

    Args:
        file: holds ``feedback.1`` … ``feedback.{L-1}``, each ``(n_out, n_l)`` or
            ``(chips, n_out, n_l)``, which are rescaled to `scale`; with layered feedback ``(n_{l+1}, n_l)``,
            or one for every synapse, sorted by the neuron above, and they are taken as they are.
        sha256: checksum of these weights, written into what a run keeps; others are refused.
    """

    file: str = ""
    sha256: str | None = None

    origin: ClassVar[str] = "given"
    relayed: ClassVar[bool | None] = None

    def __post_init__(self) -> None:
        FeedbackWeights.__post_init__(self)
        found = checksum({name: value.double().numpy() for name, value in self.stored.items()})
        if self.sha256 not in (None, found):
            fix = "The file has changed; without this key it is taken as it is now."
            raise InputError("rule.feedback.sha256", self.sha256, f"{found}, that of {self.file}", fix)
        object.__setattr__(self, "sha256", found)

    @cached_property
    def stored(self) -> dict[str, Tensor]:
        """The feedback weights in the file, by name."""
        tensors, _ = read_tensors(Path(self.file), "rule.feedback.file")
        return {name: value for name, value in tensors.items() if name.startswith("feedback.")}

    def start(self, model: Model) -> tuple[Tensor, ...]:
        layers = []
        scale = None if model.network.feedback.relayed else self.scale
        for index, own in enumerate(model.network.feedback_shapes[:-1], start=1):
            shape = (model.chips, *own)
            value = self.stored.get(f"feedback.{index}")
            found = None if value is None else tuple(value.shape)
            if value is None or found not in (shape, shape[1:]):
                allowed = f"feedback.{index} of shape {shape} or {shape[1:]}"
                raise InputError("rule.feedback.file", found, allowed)
            if not bool(value.isfinite().all()):
                raise InputError("rule.feedback.file", f"feedback.{index} of {self.file}", "finite weights")
            layers.append(scaled(value.to(model.device, torch.float64).expand(shape), scale))
        return (*layers, identity(model))

    def current(self, model: Model) -> tuple[Tensor, ...]:
        return model.feedback
