"""The sections of a study's config."""

from __future__ import annotations

from typing import Annotated, Any, Literal, final

from pydantic import ConfigDict, Field

from spiketrain.config.sections import Angle, Batches, Count, Gain, Number, Section, Seed, Spread

__all__ = [
    "AnalysisPart",
    "ComparePart",
    "Entry",
    "Form",
    "Found",
    "GridAxis",
    "Halving",
    "IdentifyPart",
    "SearchRange",
    "Settings",
    "TunePart",
]

Label = str | Annotated[dict[str, str | int | float], Field(min_length=1)]


@final
class Entry(Section):
    """One entry of a list: every key but these two is a dotted key of a config and its value.

    Args:
        label: what the table calls it: a text under the axis' name, or columns and their values.
        base: a config that this entry starts from instead of the study's.
    """

    model_config = ConfigDict(extra="allow")

    label: Label
    base: str | dict[str, Any] | None = None

    @property
    def keys(self) -> dict[str, Any]:
        """The changes, by dotted key; a base of its own under ``base``."""
        own = {"base": self.base} if self.base is not None else {}
        return {**own, **(self.model_extra or {})}


@final
class GridAxis(Section):
    """An axis of a grid.

    Args:
        keys: the dotted keys that are set, all to the same value.
        values: the values.
    """

    keys: Annotated[tuple[str, ...], Field(min_length=1)]
    values: Annotated[tuple[Any, ...], Field(min_length=1)]


@final
class AnalysisPart(Section):
    """What the report draws and tests.

    Args:
        x: column along the abscissa, such as the mismatch.
        compare: column whose levels are compared, chip by chip.
        panels: column that gets a panel for each of its levels; of two columns, the first makes the rows.
        outcome: column that is compared.
        reference: the level that the others are compared with; None compares all pairs.
        better: whether a higher outcome is better.
        resamples: of the bootstrap.
    """

    x: str
    compare: str
    panels: str | tuple[str, str] | None = None
    outcome: str = "test_accuracy"
    reference: str | None = None
    better: Literal["higher", "lower"] = "higher"
    resamples: Count = 2000


@final
class Form(Section):
    """One form of the network in a comparison.

    Args:
        kinds: kind of mismatch to the parameters of this form that it stands for.
        base: the config of this form, where neither a task nor a rule names one.
        seeds: number of training seeds, from 0; none leaves the base's.
        set: dotted keys, the same in every cell of this form.
    """

    kinds: dict[str, tuple[str, ...]]
    base: str | dict[str, Any] | None = None
    seeds: Count | None = None
    changes: dict[str, Any] = Field(default={}, alias="set")


@final
class ComparePart(Section):
    """The same tasks, chips and rules in several forms, against mismatch.

    What a task or a rule says is dotted keys of a config, ``base`` (the config to start from) and ``also``
    (parameters that deviate besides those of the kind). What stands under the name of a form or a task is for
    that one alone, and null there leaves it out. Rules overrule tasks, and these the forms.

    Args:
        forms: name to form; one or more.
        tasks: label to what is said for every rule; none leaves the bases' task.
        rules: label to what is said for every form and task.
        sigma: coefficients of variation; additive parameters get them as standard deviations.
        chips: number of chips.
        distribution: of the deviations.
    """

    forms: Annotated[dict[str, Form], Field(min_length=1)]
    tasks: dict[str, dict[str, Any]] = Field(default={})
    rules: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    sigma: Annotated[tuple[Spread, ...], Field(min_length=1)]
    chips: Count = 10
    distribution: str = "normal"


@final
class IdentifyPart(Section):
    """How the controller's knowledge of the chips is followed.

    Args:
        batches: numbers of identification batches after which it is measured.
        samples: samples that the true response is measured on.
        step: size of the current steps that measure a spiking chip, in units of the threshold.
        repeats: repeats of that measurement.
        epochs: epochs of training after identification, each measured; 0 for none.
        tolerance_degrees: identified is where the angle stays this close to its last value.
        x: column along the abscissa of what is known in the end, such as the mismatch; None draws none.
        panels: column that gets a panel for each of its levels; of two columns, the first makes the rows.
    """

    batches: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 2, 5, 10, 20, 50)
    samples: Count = 64
    step: Gain = 0.2
    repeats: Count = 4
    epochs: Batches = 0
    tolerance_degrees: Angle = 5.0
    x: str | None = None
    panels: str | tuple[str, str] | None = None


@final
class SearchRange(Section):
    """Where a key's value is searched: a range, or choices.

    Args:
        low, high: the range.
        log: search it on a logarithmic scale.
        choices: the values, where it is no range.
    """

    low: Number | None = None
    high: Number | None = None
    log: bool = False
    choices: tuple[str | int | float | bool, ...] | None = None


@final
class Halving(Section):
    r"""Which trials of a search are ended early: those that are not among the best when they are as old.

    At the rungs :math:`r \eta^k < 1` of its epochs a trial goes on if it is among the best :math:`1/\eta` of
    the trials of its candidate that have come there, itself among them; the first :math:`\eta - 1` always do.

    Source: asynchronous successive halving, Li et al. 2020, arXiv 1810.05934.

    Args:
        first: r, the share of a trial's epochs after which it is looked at first.
        factor: :math:`\eta`.
    """

    first: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.25
    factor: Annotated[int, Field(ge=2, le=100)] = 3

    def rungs(self, epochs: int) -> list[int]:
        """Return the epochs after which a trial of so many is looked at."""
        found, share = [], self.first
        while (epoch := max(1, round(share * epochs))) < epochs:
            found.append(epoch)
            share *= self.factor
        return list(dict.fromkeys(found))


@final
class TunePart(Section):
    """A search for every combination of the study's axes, with the same budget.

    Args:
        trials: evaluations for each combination.
        search: dotted key to its range, for every combination.
        entries: label, or several with commas, to further ranges for the combinations that have them in
            their columns; null takes a range away, and later entries overrule earlier ones.
        chips: number of chips that are searched on.
        chip_offset: how far their numbers are above the reported ones.
        seed: of the sampler.
        set: dotted keys and their values, for the trials alone: a share held out, fewer epochs.
        keep: column to the labels that are searched; what is found for them is for the others too.
        halving: which trials are ended early; None ends none.
    """

    trials: Count = 20
    search: dict[str, SearchRange] = Field(default={})
    entries: dict[str, dict[str, SearchRange | None]] = Field(default={})
    chips: Count = 2
    chip_offset: Count = 1000
    seed: Seed = 0
    changes: dict[str, Any] = Field(default={}, alias="set")
    keep: dict[str, tuple[str | float | int, ...]] = Field(default={})
    halving: Halving | None = None


@final
class Found(Section):
    """What a search found for one candidate.

    Args:
        columns: what tells it from the others, as the study's table says it.
        values: dotted key to the best value.
        ranges: dotted key to where it was searched.
        validation: accuracy on the validation set with these values.
    """

    columns: dict[str, str | int | float | bool | None] = Field(default={})
    values: dict[str, Any]
    ranges: dict[str, SearchRange] = Field(default={})
    validation: Number


@final
class Settings(Section):
    """What a search found for all its candidates; ``spiketrain tune`` writes it as ``settings.yaml``.

    Args:
        study: the study that searched.
        trials: for each candidate.
        chips: numbers of the first chip that was searched on and of the last.
        found: a candidate each.
    """

    study: str
    trials: Count
    chips: tuple[int, int]
    found: Annotated[tuple[Found, ...], Field(min_length=1)]
