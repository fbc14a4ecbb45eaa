"""The sections of a config: what each key is, its type, its default and its range."""

from __future__ import annotations

from typing import Annotated, Any, Literal, final

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function

from mismatch import presets
from rate_bridge import filters
from root import ranges
from root.errors import InputError
from root.ranges import Range

__all__ = [
    "AnalysisPart",
    "Angle",
    "Batches",
    "BridgePart",
    "ChipsPart",
    "Count",
    "Duration",
    "Gain",
    "GuardPart",
    "LimitsPart",
    "MismatchPart",
    "Number",
    "Part",
    "RulePart",
    "Section",
    "SimulatorPart",
    "Size",
    "Spread",
    "TaskPart",
    "TrainingPart",
    "whole_steps",
]


@final
class Within:
    """Makes a range a check of a section's key, in pydantic's terms."""

    def __init__(self, limits: Range) -> None:
        self.limits = limits

    def __get_pydantic_core_schema__(self, kind: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._checked, handler(kind))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        return {**handler(schema), **self.limits.schema}

    def _checked(self, value: float) -> float:
        if not self.limits.holds(value):
            raise PydanticCustomError("range", "{allowed}", {"allowed": self.limits.allowed})
        return value


Count = Annotated[int, Within(ranges.COUNT)]
Epochs = Annotated[int, Within(ranges.EPOCHS)]
Size = Annotated[int, Within(ranges.SIZE)]
Seed = Annotated[int, Within(ranges.SEED)]
ChipNumber = Annotated[int, Within(ranges.CHIP)]
Step = Annotated[float, Within(ranges.DT_MS)]
Duration = Annotated[float, Within(ranges.TIME_MS)]
Filter = Annotated[float, Within(ranges.TIME_OR_0_MS)]
Frequency = Annotated[float, Within(ranges.RATE_HZ)]
Rate = Annotated[float, Within(ranges.TARGET)]
Gain = Annotated[float, Within(ranges.GAIN)]
Factor = Annotated[float, Within(ranges.FACTOR)]
Spread = Annotated[float, Within(ranges.SPREAD)]
Fraction = Annotated[float, Within(ranges.FRACTION_BELOW_1)]
Share = Annotated[float, Within(ranges.SHARE)]
Growth = Annotated[float, Within(ranges.GROWTH)]
Batches = Annotated[int, Within(ranges.BATCHES)]
Angle = Annotated[float, Within(ranges.DEGREES)]
Number = Annotated[float, Within(ranges.NUMBER)]
Patience = Annotated[float, Within(ranges.PATIENCE_S)]
Gigabytes = Annotated[float, Within(ranges.GIGABYTES)]

MOST_STEPS = 1_000_000
"""More than any presentation takes; what needs more has mistaken the unit."""

RUN = 64
"""Most batches that chips which learn by themselves are shown in one go: it bounds the memory."""


class Section(BaseModel):
    """A section: strict types, no unknown keys, nothing infinite."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Part(Section):
    """A registered part by its name; the other keys are its own."""

    model_config = ConfigDict(extra="allow")

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """The keys that belong to the part itself."""
        return dict(self.model_extra or {})

    @property
    def keys(self) -> dict[str, Any]:
        """The name and the part's own keys."""
        return {"name": self.name, **self.options}


class TaskPart(Part):
    """What is to be learned.

    Args:
        sha256: checksum of what the task reads from files, written into what a run keeps.
    """

    sha256: str | None = None


class RulePart(Part):
    """How it is learned."""


class MismatchPart(Section):
    """The population of chips.

    Every other key is a parameter and how it deviates, or a kind of imperfection and its settings.

    Args:
        chips: number of chips.
        seed: root of the hidden draws; null where the chips are in another process, which has it.
        first_chip: index of the first chip.
        shadow: whether a basal shadow membrane deviates on its own or is an exact twin (an idealisation).
        shadow_share: how much of the way from its neuron's values to values of its own a shadow goes.
        preset: name of a technology whose magnitudes come first; other keys replace its keys one by
            one, and null removes one.
    """

    model_config = ConfigDict(extra="allow")

    preset: str | None = None
    chips: Count = 1
    seed: Seed | None = 1
    first_chip: ChipNumber = 0
    shadow: Literal["own", "shared"] = "own"
    shadow_share: Share = 1.0

    @property
    def entries(self) -> dict[str, Any]:
        """Name of a parameter or a kind of imperfection to what the config or its preset says about it."""
        own = dict(self.model_extra or {})
        named = presets.load(self.preset) if self.preset is not None else {}
        return {name: entry for name, entry in {**named, **own}.items() if entry is not None}


class ChipsPart(Section):
    """Where the chips are, and what may be asked of them.

    Args:
        at: address of a server, ``ipc://PATH`` or ``tcp://127.0.0.1:PORT``, or a list of them whose chips
            are one population in that order; null: simulated here.
        key: file with the key that servers on TCP ask for.
        isolated: simulate them in a process of their own, which alone knows their seed.
        secret: file that says that process the seed (YAML: ``seed``, and ``noise`` for that of noise and
            initial states); null: it draws one, which ends with it.
        observe: names of the traces that may be recorded; null: what the rule says it asks for where the
            chips are isolated, and all elsewhere.
        reveal: let isolated chips write ``truth.safetensors`` when the run is over; they then answer
            nothing more.
        timeout_s: longest time for an answer from another process.
        patience_s: how long a server that is lost is waited for, before its chips are left out.
    """

    at: str | tuple[str, ...] | None = None
    key: str | None = None
    isolated: bool = False
    secret: str | None = None
    observe: tuple[Literal["spikes", "voltage", "current", "control", "readout"], ...] | None = None
    reveal: bool = True
    timeout_s: Patience = 600.0
    patience_s: Patience = 30.0

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where servers are; none where the chips are simulated by this run itself."""
        return () if self.at is None else (self.at,) if isinstance(self.at, str) else self.at

    @property
    def elsewhere(self) -> bool:
        """Whether the chips are in another process, which knows their seed."""
        return self.isolated or self.at is not None


class BridgePart(Section):
    """Between values, spikes and rates.

    Args:
        encoding: how input values become spikes or currents.
        max_rate_hz: the rate that counts as 1.
        readout_tau_ms: time constant of the read-out trace; 0 means no filter.
        window: shape of the averaging window.
        target_rates: wanted output rates of the wrong classes and of the right one.
        decision: which windows of a presentation decide: the ``last``, or the ``mean`` of all.
    """

    encoding: Part = Part(name="phase")
    max_rate_hz: Frequency = 100.0
    readout_tau_ms: Filter = 40.0
    window: Literal["rectangular", "hann"] = "rectangular"
    target_rates: tuple[Rate, Rate] = (0.1, 0.8)
    decision: Literal["last", "mean"] = "last"


class SimulatorPart(Part):
    """The machine that stands for the chips, and its clock; other keys are the machine's own.

    Args:
        dt_ms: time step.
        presentation_ms: how long a sample is shown in training.
        window_ms: averaging window at its end; of samples that end earlier, at theirs.
        windows: equal parts that a presentation falls into, in training and in tests, each with a window at
            its end: a rule learns of every one of them.
        test_presentation_ms: how long a sample is shown in tests.
        test_window_ms: averaging window then.
        dtype: the type it computes with.
        device: where it computes.
    """

    dt_ms: Step = 1.0
    presentation_ms: Duration = 150.0
    window_ms: Duration = 75.0
    windows: Count = 1
    test_presentation_ms: Duration = Field(default_factory=lambda data: data["presentation_ms"])
    test_window_ms: Duration = Field(default_factory=lambda data: data["window_ms"])
    dtype: Literal["float64", "float32"] = "float64"
    device: str = "cpu"

    def steps(self, *, test: bool = False) -> tuple[int, int]:
        """Return the steps of a presentation and of its window.

        Raises:
            InputError: one is no multiple of the time step, or the window is the longer one.
        """
        prefix = "test_" if test else ""
        length, window = (
            whole_steps(f"simulator.{prefix}{name}_ms", getattr(self, f"{prefix}{name}_ms"), self.dt_ms)
            for name in ("presentation", "window")
        )
        if window > length:
            allowed = f"at most the presentation, {length * self.dt_ms:g} ms"
            raise InputError(f"simulator.{prefix}window_ms", window * self.dt_ms, allowed)
        if length % self.windows:
            allowed = f"a number that {length} steps of a presentation can be divided by"
            raise InputError("simulator.windows", self.windows, allowed)
        if window * self.windows > length:
            allowed = (
                f"at most the presentation by simulator.windows, {length * self.dt_ms / self.windows:g} ms"
            )
            raise InputError(f"simulator.{prefix}window_ms", window * self.dt_ms, allowed)
        return length, window


class GuardPart(Section):
    """What keeps chips from falling, by what the rule observes of them; see `GuardedStepper`.

    Args:
        residual: where a chip's running output error is below this, its steps shrink in proportion.
        fall: a chip whose running output error rises above so many times its lowest is set back; null
            for never.
        back_off: factor of a chip's steps after every setback.
        batches: memory of the running error, and how often weights are kept to go back to.
    """

    residual: Gain | None = None
    fall: Growth | None = 1.2
    back_off: Share = 0.5
    batches: Count = 20


class TrainingPart(Section):
    """How long and how fast.

    Args:
        epochs: passes over the training set.
        batch: samples per update; what is left over at the end of an epoch is not shown.
        learning_rate: step size in the first epoch.
        decay: factor of the step size from one epoch to the next.
        hidden_scale: factor of the step size in hidden layers.
        average: decay of the running average of the weights that are tested; 0 tests the weights.
        optimizer: what turns an update into a step.
        seed: root of all random numbers but the mismatch.
        plasticity: ``host``: observations are read, and weights written, after every batch; ``on_chip``:
            the synapses change by themselves while up to `RUN` batches are shown, by plain descent.
        arm: what the algorithm may know about the chips.
        validation: fraction of the training set that is held out.
        guard: what keeps chips from falling, or null for nothing.
        presentations: training ends with the batch that has shown each chip so many samples, every phase
            of a sample counted, and calibration; null for no such end.
        before: dotted keys and values: changes of the config with which the network is trained first, where
            no reported chip is shown anything (``{training.arm: offline, training.epochs: 16}``); null for
            random weights.
        augment: what is done to training samples, in every epoch anew, such as ``shift``; null for nothing.
    """

    epochs: Epochs
    batch: Count
    learning_rate: Gain
    decay: Share = 1.0
    hidden_scale: Factor = 1.0
    average: Fraction = 0.0
    optimizer: Part = Part(name="sgd")
    seed: Seed = 0
    plasticity: Literal["host", "on_chip"] = "host"
    arm: Part = Part(name="in_loop")
    validation: Fraction = 0.0
    guard: GuardPart | None = None
    presentations: Count | None = None
    before: dict[str, Any] | None = None
    augment: Part | None = None

    @property
    def shown(self) -> int:
        """Most samples that are shown before the host reads anything."""
        return self.batch * (RUN if self.plasticity == "on_chip" else 1)


class AnalysisPart(Section):
    """What is looked at beyond the accuracies; nothing of it reaches a rule.

    Args:
        measures: after every epoch, compare the feedback weights and the update of one batch with the
            true chips (rate networks): columns of ``metrics.csv``.
        reference: when training is over, train one chip without mismatch too, which the report holds the
            others against.
        moments: at the end, how right the chips are at every moment since a sample began: ``moments.csv``,
            and latencies in ``summary.json``.
        tracker: what else is told how the run goes, such as ``tensorboard``; null for nothing.
    """

    measures: bool = False
    reference: bool = False
    moments: bool = False
    tracker: Part | None = None


class LimitsPart(Section):
    """What a run may take.

    Args:
        memory_gb: a run that is estimated to need more is refused.
    """

    memory_gb: Gigabytes = 8.0


def whole_steps(key: str, time_ms: float, dt_ms: float) -> int:
    """Return `time_ms` in steps of `dt_ms`; `InputError` naming `key` where it is no multiple."""
    count = round(time_ms / dt_ms)
    if count > MOST_STEPS:
        given = f"{time_ms:g}, which is {count:g} steps of {dt_ms:g} ms"
        raise InputError(key, given, f"at most {MOST_STEPS} steps", "A longer simulator.dt_ms makes fewer.")
    if filters.whole_steps(time_ms, dt_ms) is None:
        raise InputError(key, time_ms, f"a multiple of simulator.dt_ms ({dt_ms:g} ms), one step or more")
    return count
