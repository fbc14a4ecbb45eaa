"""The sections of a config as objects, for those who build an experiment in Python.

Every argument is a key of the section of the same name, and says nothing unless it is given: what it is
left at, what is allowed, and what does not go together is the business of the config's schema alone.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

if TYPE_CHECKING:
    from learning.optimizers import Optimizer
    from mismatch.distributions.base import Distribution
    from mismatch.imperfections.base import Imperfection
    from rate_bridge.encodings import Encoding
    from spiketrain.arms.base import Arm
    from spiketrain.tasks.augmentations import Augmentation
    from spiketrain.tracking.base import Tracker
    from spiking.connections import Pattern
    from spiking.feedback import FeedbackPath
    from spiking.neurons.base import Neuron

__all__ = [
    "Analysis",
    "Bridge",
    "Connection",
    "Graph",
    "Mismatch",
    "Network",
    "Population",
    "Section",
    "Simulator",
    "Training",
]


class Section(ABC):
    """Keys of a config and their values; concrete ones say which."""

    beside: ClassVar[Mapping[str, str]] = {}
    """Arguments whose parts have their keys beside the section's own: name to the key that names the part."""

    @abstractmethod
    def __init__(self, keys: Mapping[str, Any]) -> None:
        self._keys = {key: value for key, value in keys.items() if value is not None}

    @property
    def said(self) -> dict[str, Any]:
        """What was given, by key; values may be parts."""
        return dict(self._keys)

    def __repr__(self) -> str:
        said = ", ".join(f"{key}={value!r}" for key, value in self._keys.items())
        return f"{type(self).__name__}({said})"


@final
class Network(Section):
    """A chain of layers.

    Args:
        layers: sizes, the input's first.
        neuron: of all layers.
        output_neuron: of the last layer, where it is another.
        bidirectional: whether every connection between layers of neurons has a backward one beside it.
        feedback: how a controller's signal reaches the layers.
        delay_ms: of the connections, one for all or one each.
        weight_gain: standard deviation of the initial weights times √n_pre, one for all or one each.
        bias_spread: standard deviation of the initial biases, one for all hidden layers or one per layer.
    """

    def __init__(
        self,
        layers: Sequence[int],
        neuron: Neuron,
        *,
        output_neuron: Neuron | None = None,
        bidirectional: bool | None = None,
        feedback: FeedbackPath | str | None = None,
        delay_ms: float | Sequence[float] | None = None,
        weight_gain: float | Sequence[float] | None = None,
        bias_spread: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(
            {
                "layers": layers,
                "neuron": neuron,
                "output_neuron": output_neuron,
                "bidirectional": bidirectional,
                "feedback": feedback,
                "delay_ms": delay_ms,
                "weight_gain": weight_gain,
                "bias_spread": bias_spread,
            }
        )


@final
class Population(Section):
    """Neurons of a `Graph`.

    Args:
        size: how many; not where a connection says it.
        shape: axes instead of a size, (height, width) or (height, width, channels).
        neuron: where it is another than the graph's.
        bias_spread: standard deviation of the initial biases.
    """

    def __init__(
        self,
        size: int | None = None,
        *,
        shape: Sequence[int] | None = None,
        neuron: Neuron | None = None,
        bias_spread: float | None = None,
    ) -> None:
        super().__init__({"size": size, "shape": shape, "neuron": neuron, "bias_spread": bias_spread})


@final
class Connection(Section):
    """A connection of a `Graph`.

    Args:
        pre: name of the population before, or ``input``, or that of one input of several.
        post: name of the population behind.
        by: which synapses there are, such as ``Conv2d(...)``; by default all to all.
        delay_ms: from a spike to the membrane that sees it.
        weight_gain: standard deviation of the initial weights times the root of the synapses on a neuron.
    """

    beside: ClassVar[Mapping[str, str]] = {"by": "kind"}

    def __init__(
        self,
        pre: str,
        post: str,
        by: Pattern | str | None = None,
        *,
        delay_ms: float | None = None,
        weight_gain: float | None = None,
    ) -> None:
        super().__init__(
            {"pre": pre, "post": post, "by": by, "delay_ms": delay_ms, "weight_gain": weight_gain}
        )


@final
class Graph(Section):
    """Populations and the connections between them, by name.

    Args:
        input: axes of the input, (n,), (height, width) or (height, width, channels); or several inputs by
            name, with the axes of each.
        populations: by name, in the order of computation; the last is read out.
        connections: by name.
        neuron: of all populations.
        feedback: how a controller's signal reaches the populations.
    """

    def __init__(
        self,
        input: Sequence[int] | Mapping[str, Sequence[int]],  # noqa: A002 (the key's name)
        populations: Mapping[str, Population],
        connections: Mapping[str, Connection],
        neuron: Neuron,
        *,
        feedback: FeedbackPath | str | None = None,
    ) -> None:
        super().__init__(
            {
                "input": input,
                "populations": populations,
                "connections": connections,
                "neuron": neuron,
                "feedback": feedback,
            }
        )


@final
class Mismatch(Section):
    """The population of chips, and how they deviate from the design.

    Args:
        chips: how many.
        seed: root of the hidden draws.
        first_chip: number of the first one in its population.
        shadow: whether a basal shadow membrane deviates on its own (``own``) or is a twin (``shared``).
        shadow_share: how far a shadow goes from its neuron's values to values of its own.
        preset: a technology whose magnitudes come first.
        measured: a file of measured devices.
        **deviations: parameters and their distributions, ``threshold=Normal(cv=0.2)``, and imperfections by
            their registered names, ``faults=Faults(dead=0.01)``.
    """

    def __init__(
        self,
        chips: int = 1,
        *,
        seed: int | None = None,
        first_chip: int | None = None,
        shadow: Literal["own", "shared"] | None = None,
        shadow_share: float | None = None,
        preset: str | None = None,
        measured: str | os.PathLike[str] | None = None,
        **deviations: Distribution | Imperfection | Mapping[str, Any],
    ) -> None:
        super().__init__(
            {
                "chips": chips,
                "seed": seed,
                "first_chip": first_chip,
                "shadow": shadow,
                "shadow_share": shadow_share,
                "preset": preset,
                "measured": None if measured is None else os.fspath(measured),
                **deviations,
            }
        )


@final
class Simulator(Section):
    """The machine that stands for the chips, and its clock.

    Args:
        name: ``torch``, ``compiled``, ``brian2``, ...
        dt_ms: time step.
        presentation_ms: how long a sample is shown in training.
        window_ms: averaging window at its end.
        windows: equal parts that a presentation falls into, each with a window at its end.
        test_presentation_ms: how long a sample is shown in tests.
        test_window_ms: averaging window then.
        dtype: the type it computes with.
        device: where it computes.
        **options: the machine's own keys.
    """

    def __init__(
        self,
        name: str,
        *,
        dt_ms: float | None = None,
        presentation_ms: float | None = None,
        window_ms: float | None = None,
        windows: int | None = None,
        test_presentation_ms: float | None = None,
        test_window_ms: float | None = None,
        dtype: Literal["float64", "float32"] | None = None,
        device: str | None = None,
        **options: bool | float | str,
    ) -> None:
        super().__init__(
            {
                "name": name,
                "dt_ms": dt_ms,
                "presentation_ms": presentation_ms,
                "window_ms": window_ms,
                "windows": windows,
                "test_presentation_ms": test_presentation_ms,
                "test_window_ms": test_window_ms,
                "dtype": dtype,
                "device": device,
                **options,
            }
        )


@final
class Training(Section):
    """How long and how fast chips learn.

    Args:
        epochs: passes over the training set.
        batch: samples per update.
        learning_rate: step size in the first epoch.
        optimizer: what turns an update into a step.
        decay: factor of the step size from one epoch to the next.
        hidden_scale: factor of the step size in hidden layers.
        average: decay of the running average of the weights that are tested.
        seed: root of all random numbers but the mismatch.
        plasticity: ``host``, or ``on_chip``: the synapses change by themselves.
        arm: what the algorithm may know about the chips.
        validation: share of the training set that is held out.
        guard: keys of what keeps chips from falling, ``{}`` for those it has by itself.
        presentations: how many samples a chip is shown at most, every phase counted.
        before: dotted keys and values, changes with which the network is trained first.
        augment: what is done to training samples, in every epoch anew.
    """

    def __init__(
        self,
        epochs: int,
        batch: int,
        learning_rate: float,
        *,
        optimizer: Optimizer | str | None = None,
        decay: float | None = None,
        hidden_scale: float | None = None,
        average: float | None = None,
        seed: int | None = None,
        plasticity: Literal["host", "on_chip"] | None = None,
        arm: Arm | str | None = None,
        validation: float | None = None,
        guard: Mapping[str, float | None] | None = None,
        presentations: int | None = None,
        before: Mapping[str, Any] | None = None,
        augment: Augmentation | str | None = None,
    ) -> None:
        super().__init__(
            {
                "epochs": epochs,
                "batch": batch,
                "learning_rate": learning_rate,
                "optimizer": optimizer,
                "decay": decay,
                "hidden_scale": hidden_scale,
                "average": average,
                "seed": seed,
                "plasticity": plasticity,
                "arm": arm,
                "validation": validation,
                "guard": guard,
                "presentations": presentations,
                "before": before,
                "augment": augment,
            }
        )


@final
class Bridge(Section):
    """Between values, spikes and rates.

    Args:
        encoding: how input values become spikes or currents.
        max_rate_hz: the rate that counts as 1.
        readout_tau_ms: time constant of the read-out trace.
        window: shape of the averaging window.
        target_rates: wanted output rates of the wrong classes and of the right one.
        decision: which windows of a presentation decide: the ``last``, or the ``mean`` of all.
    """

    def __init__(
        self,
        *,
        encoding: Encoding | str | None = None,
        max_rate_hz: float | None = None,
        readout_tau_ms: float | None = None,
        window: Literal["rectangular", "hann"] | None = None,
        target_rates: tuple[float, float] | None = None,
        decision: Literal["last", "mean"] | None = None,
    ) -> None:
        super().__init__(
            {
                "encoding": encoding,
                "max_rate_hz": max_rate_hz,
                "readout_tau_ms": readout_tau_ms,
                "window": window,
                "target_rates": target_rates,
                "decision": decision,
            }
        )


@final
class Analysis(Section):
    """What is looked at beyond the accuracies.

    Args:
        measures: compare feedback weights and updates with the true chips after every epoch.
        reference: train a chip without mismatch too, which the report holds the others against.
        moments: how right the chips are at every moment since a sample began.
        tracker: what else is told how the run goes.
    """

    def __init__(
        self,
        *,
        measures: bool | None = None,
        reference: bool | None = None,
        moments: bool | None = None,
        tracker: Tracker | str | None = None,
    ) -> None:
        super().__init__(
            {"measures": measures, "reference": reference, "moments": moments, "tracker": tracker}
        )
