"""What a machine is asked to run (phases, drives, controllers) and what it gives back (recordings)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from root.errors import InputError
from spiking.neurons.base import State
from spiking.shapes import check_phase
from spiking.windows import held_rows, own_windows, rows_of

__all__ = [
    "TRACES",
    "Change",
    "Controller",
    "CurrentDrive",
    "Drive",
    "Noise",
    "Observation",
    "Phase",
    "Plasticity",
    "Recording",
    "Relay",
    "Snapshot",
    "SpikeDrive",
    "Weights",
]

TRACES = ("spikes", "voltage", "current", "control", "readout")
"""Names of what can be recorded in every step."""


@dataclass(frozen=True)
class Relay:
    """What the layers of a network with layered feedback do with what they receive; see `Layered`.

    Args:
        strength: κ per layer 1 to L - 1, ``(chips,)``: how much of the relayed signal a neuron gets as
            current.
        gates: G per layer 1 to L - 1, its values at `points` rates evenly spaced from `low` to `high`,
            ``(chips or 1, n or 1, points)``; beyond the ends those of the ends.
        low: lowest rate per layer 1 to L - 1.
        high: highest rate per layer 1 to L - 1.
    """

    strength: tuple[Tensor, ...]
    gates: tuple[Tensor, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def points(self) -> int:
        """Points of a gate's curve, the same for all layers."""
        return int(self.gates[0].shape[-1])


@dataclass(frozen=True)
class Weights:
    """What is programmed into a population of chips.

    Args:
        forward: per connection of the network, the numbers that its pattern shares among its synapses,
            ``(chips, *parameters)``, ``(chips, n_pre, n_post)`` for all-to-all ones: through a synapse that
            carries w, a presynaptic rate r gives the mean current ``w * r``.
        bias: per layer 1 to L, ``(chips, n)``: a constant current.
        feedback: per layer 1 to L, ``(chips, n_out, n)``: a control signal u gives the feedback
            current ``u @ Q``; with layered feedback, what layer l + 1 passes on reaches layer l through
            ``(chips, n_above, n)``; empty where no controller is used.
        relay: what layered feedback needs beside its weights, or None.
    """

    forward: tuple[Tensor, ...]
    bias: tuple[Tensor, ...]
    feedback: tuple[Tensor, ...] = ()
    relay: Relay | None = None


@dataclass(frozen=True)
class SpikeDrive:
    """Spikes of the input layer, shared by all chips.

    Args:
        spikes: boolean, ``(batch, time, inputs)``; they arrive like any spike, through the synapses.
    """

    spikes: Tensor


@dataclass(frozen=True)
class CurrentDrive:
    """Input values that act as currents through the first connection, in their own step, unfiltered.

    Args:
        values: ``(batch, inputs)`` for constant ones, ``(batch, time, inputs)`` for one per step.
    """

    values: Tensor


Drive = SpikeDrive | CurrentDrive


@dataclass(frozen=True)
class Controller:
    r"""A leaky proportional-integral controller inside the simulation, on the read-out trace.

    .. math::
        e = r^* - r_{out}, \qquad u_{int} \leftarrow u_{int} + dt\,(k_i e - \alpha u_{int}), \qquad
        u = k_p e + u_{int}, \qquad I_{fb,l} = u\, Q_l

    The target may be relative to what the chip does by itself, :math:`r_{out}^-` in the phase
    `nudge_from`:

    .. math:: r^* = r_{out}^- + \lambda\,(target - r_{out}^-)

    Source: Meulemans et al. 2021, arXiv 2106.07887, with the leak on the integral; the soft-max is
    that of Strong-DFC, Meulemans et al. 2022, arXiv 2204.07249.

    Args:
        target: r*, ``(rows, n_out)``, one for every row that the phase counts: its samples, or the windows of
            its samples; where it differs between chips, ``(chips, rows, n_out)``; where it moves, one for
            every step, ``(batch, time, n_out)``.
        kp: proportional gain.
        ki_per_ms: integral gain.
        leak_per_ms: leak α of the integral.
        trace_at_target: start the read-out trace at the target instead of at 0, so that the
            controller does not push while the trace fills.
        softmax: compare the target with the soft-max of the output; with `nudge_from` this is done
            once, with the free output, and the loop itself stays linear.
        nudge_from: name of an earlier phase of the same samples, or None for an absolute target.
        nudge: λ in [0, 1], with `nudge_from`; 0 holds the output where it was.
        moves: whether the target has an axis of time; it is then absolute, and the same for all chips.

    Raises:
        InputError: a target that moves is to be relative to another phase.
    """

    target: Tensor
    kp: float = 0.5
    ki_per_ms: float = 0.01
    leak_per_ms: float = 0.0
    trace_at_target: bool = False
    softmax: bool = False
    nudge_from: str | None = None
    nudge: float = 1.0
    moves: bool = False

    def __post_init__(self) -> None:
        if self.moves and self.nudge_from is not None:
            raise InputError("controller.nudge_from", self.nudge_from, "None for a target that moves")

    @property
    def softmax_in_loop(self) -> bool:
        """Whether the loop compares the target with the soft-max of the output."""
        return self.softmax and self.nudge_from is None


@dataclass(frozen=True)
class Noise:
    r"""Known noise currents in the feedback compartments, and what the feedback synapses make of them.

    The currents are an Ornstein-Uhlenbeck process :math:`\xi` of standard deviation σ, the same on every
    chip. Every feedback synapse correlates, over the window, its own current with what is fast in
    the control signal:

    .. math:: C_l = \left\langle (u - \bar u)^\top (u\, Q_l + \xi_l) \right\rangle, \qquad
        \tau_f\, \dot{\bar u} = u - \bar u

    Source: Meulemans et al. 2021, arXiv 2106.07887, section 4; 2022, arXiv 2204.07249 (high-pass).

    Args:
        sigma: standard deviation of the currents.
        tau_ms: their correlation time, 0 for white noise.
        highpass_ms: time constant :math:`\tau_f`; 0 for none, :math:`\bar u = 0`.
        seed: of the noise.
    """

    sigma: float
    tau_ms: float
    highpass_ms: float
    seed: int


@dataclass(frozen=True)
class Plasticity:
    r"""Local plasticity of the forward synapses inside the machine, while a phase runs.

    The samples are shown `batch` at a time, each on a copy of the synapses; what copies change adds up. With
    `trace_ms` every synapse sums, in every step of the window, its neuron's feedback current times its trace,

    .. math:: \Delta W_l = \langle x_{l-1}^\top\, (u\, Q_l \odot g_l) \rangle, \qquad
        \tau\, \dot x = -x + r

    where the gate g keeps hidden neurons out that have not spiked in the presentation yet, unless all of
    them learn from the start. Without a trace, at the end of every presentation, the difference between
    neurons and their basal shadows:

    .. math:: \Delta W_l = \langle \bar r_{l-1}^\top\, (\bar r_l - \hat r_l) \rangle

    Biases change in the same way, with a presynaptic 1, where they learn. Given step sizes, the weights
    change by that many times :math:`\Delta W_l`: in every step, or after every `batch` samples.

    Source: Saponati et al. 2026, arXiv 2602.13261 (with the trace); Meulemans et al. 2021,
    arXiv 2106.07887 (the difference).

    Args:
        batch: samples shown between two readings, 1 or more; 0 for all of the phase's.
        trace_ms: time constant of the presynaptic trace, or None for the difference.
        steps: step size per connection; empty where the synapses sum but do not change.
        biases: whether biases learn too; with a trace alone can they be left as they are.
        from_first_spike: whether g keeps neurons out; with a trace alone is there a choice.

    Raises:
        InputError: without a trace, biases are to be left as they are, or the gate is.
    """

    batch: int = 0
    trace_ms: float | None = None
    steps: tuple[float, ...] = ()
    biases: bool = True
    from_first_spike: bool = True

    def __post_init__(self) -> None:
        for name in ("biases", "from_first_spike"):
            if self.trace_ms is None and not getattr(self, name):
                raise InputError(f"plasticity.{name}", False, "true without trace_ms")


@dataclass(frozen=True)
class Change:
    """What plasticity inside the machine came to.

    Args:
        weight: ``(chips, *parameters)``, in units of the programmed weights: the change that was made,
            or, without step sizes, the mean over the batches of what was summed.
        bias: the same for the biases, ``(chips, n_post)``.
    """

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Phase:
    """One stretch of time on every chip and sample.

    Args:
        name: how the observation calls it.
        drive: the input.
        window: averaging weights, one per step, ``(steps,)``; their number is the phase's length.
        lengths: steps after which each sample is over, ``(batch,)``; None where all last to the end. The
            window ends with its sample: it is shifted.
        windows: equal parts that the presentation falls into, each with its own part of `window`, of which
            means are taken.
        counted: False for windows to leave out, ``(batch, windows)``, or None.
        controller: closes the loop; without one there is no feedback current.
        shadow: run the basal shadow membranes, which see all currents but the feedback.
        currents: constant injected currents per layer 1 to L, each ``(batch, n)`` or
            ``(chips, batch, n)``, or None; empty for none at all.
        start: name of the random initial state; phases that share it start from the same state.
        after: name of an earlier phase whose final state this one goes on from, instead of `start`.
        noise: noise in the feedback compartments, or None.
        plasticity: what the synapses learn by themselves, or None.
        record: names from `TRACES` to be recorded in every step.

    Raises:
        InputError: a name is unknown, or the tensors do not fit each other.
    """

    name: str
    drive: Drive
    window: Tensor
    controller: Controller | None = None
    shadow: bool = False
    currents: tuple[Tensor | None, ...] = ()
    start: str | None = None
    after: str | None = None
    noise: Noise | None = None
    plasticity: Plasticity | None = None
    record: frozenset[str] = frozenset()
    lengths: Tensor | None = None
    windows: int = 1
    counted: Tensor | None = None

    def __post_init__(self) -> None:
        if unknown := self.record.difference(TRACES):
            raise InputError("record", sorted(unknown), ", ".join(TRACES))
        check_phase(self)

    @property
    def steps(self) -> int:
        """Length of the phase in steps."""
        return int(self.window.shape[0])

    @property
    def whole(self) -> bool:
        """Whether there is one row for every sample."""
        return self.windows == 1 and self.counted is None

    @cached_property
    def weights(self) -> Tensor:
        """Averaging weights of every sample, ``(batch, steps)``."""
        if self.lengths is None:
            return self.window.expand(self.batch, -1)
        return own_windows(self.window, self.lengths, self.windows)

    @cached_property
    def rows(self) -> tuple[Tensor, Tensor]:
        """Sample and window of every row that is counted, ``(rows,)`` each, sample by sample."""
        return rows_of(self.weights, self.windows, self.counted)

    @cached_property
    def held_rows(self) -> Tensor:
        """The row whose target holds in every window, ``(batch, windows)``; see `held_rows`."""
        return held_rows(*self.rows, self.batch, self.windows)

    @property
    def needs(self) -> frozenset[str]:
        """What not every machine can do: ``noise``, ``softmax``, ``tracking``, ``plasticity``, ..."""
        softmax = self.controller is not None and self.controller.softmax_in_loop
        moves = self.controller is not None and self.controller.moves
        wanted = {"noise": self.noise is not None, "softmax": softmax, "tracking": moves}
        if self.plasticity is not None:
            wanted["plasticity" if self.plasticity.trace_ms is None else "eligibility"] = True
        return frozenset(name for name, needed in wanted.items() if needed)

    @property
    def batch(self) -> int:
        """Number of samples."""
        drive = self.drive
        return int(drive.spikes.shape[0] if isinstance(drive, SpikeDrive) else drive.values.shape[0])


@dataclass(frozen=True)
class Snapshot:
    """The complete dynamic state of a population between two phases.

    Args:
        neurons: per layer, the neuron model's state variables.
        shadows: the same for the basal shadows; empty when they are not run.
        synapse: per layer, the synaptic current, ``(chips, batch, n)``.
        history: per connection, the emissions still under way, oldest first,
            ``(chips, batch, delay_steps - 1, n_pre)``.
        trace: the read-out trace, ``(chips, batch, n_out)``.
        integral: the controller's integral, ``(chips, batch, n_out)``.
        gates: with layered feedback, the activity x that the gates of layers 1 to L - 1 see,
            ``(chips, batch, n)``; empty elsewhere, or where it is 0.
        sent: on machines that send changes, what layers 0 to L have told others of their activities,
            ``(chips, batch, n)`` (the input's with one chip for all); empty elsewhere, or where it is 0.
    """

    neurons: tuple[State, ...]
    shadows: tuple[State, ...]
    synapse: tuple[Tensor, ...]
    history: tuple[Tensor, ...]
    trace: Tensor
    integral: Tensor
    sent: tuple[Tensor, ...] = ()
    gates: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Recording:
    """What is measured in a phase.

    Rates are means over the phase's window, 1 = ``max_rate_hz``. Where a presentation has several windows,
    each is a row of its own: ``batch`` below is then the number of `Phase.rows`, but for traces.

    Args:
        rates: per layer 0 to L, ``(chips, batch, n)``; the input's may have one chip for all.
        basal: the shadows' rates per layer 1 to L, or empty.
        control: mean control signal u over the window, ``(chips, batch, n_out)``, or None.
        readout: the read-out trace at the end of the phase, or of the window's part of it,
            ``(chips, batch, n_out)``.
        apical: with layered feedback under control, what layers 1 to L received, the mean of a over the
            window, ``(chips, batch, n)``; the last is `control`. Empty elsewhere.
        correlation: with `Phase.noise`, per layer 1 to L, the mean of C over samples and window,
            ``(chips, n_out, n)``; see `Noise`.
        changes: with `Phase.plasticity`, one per connection.
        traces: what was asked for in `Phase.record`, by name: ``spikes`` and ``voltage`` and
            ``current`` per layer 1 to L, ``control`` and ``readout`` once,
            each ``(chips, batch, time, n)``.
    """

    rates: tuple[Tensor, ...]
    basal: tuple[Tensor, ...]
    control: Tensor | None
    readout: Tensor
    correlation: tuple[Tensor, ...] = ()
    changes: tuple[Change, ...] = ()
    traces: Mapping[str, tuple[Tensor, ...]] = field(default_factory=dict)
    apical: tuple[Tensor, ...] = ()


Observation = Mapping[str, Recording]
"""Recordings by the name of their phase."""
