"""``spiketrain deploy``: a trained run on another machine, and an account of what that changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from mismatch.chip import ChipPopulation, bench_of
from mismatch.imperfections.resolution import Resolution
from root.errors import InputError, UnsupportedError, printable
from root.plugins import load
from spiketrain.deployment.compared import Compared
from spiketrain.deployment.cost import cost
from spiketrain.deployment.page import write_page
from spiketrain.deployment.source import Source, read_run, without_feedback
from spiketrain.evaluation import evaluate
from spiketrain.naming import named
from spiketrain.parts import Parts
from spiketrain.record.files import is_leftover, remove_leftovers, write_json, write_tensors
from spiketrain.record.provenance import provenance
from spiketrain.teaching import learn
from spiking.blocks.block import Block
from spiking.simulators.fixed_point import quantise

__all__ = ["TARGETS", "deploy"]

TOLERANCE = 0.01
"""The loss of accuracy on training samples above which the weights are fine-tuned."""

SINGLES = 3
"""Samples that are presented one at a time, to time Lava as it is usually run."""


@final
@dataclass(frozen=True)
class Target:
    """A machine to deploy to.

    Args:
        emulator: the simulator that computes the same without Lava.
        arithmetic: of Lava's processes.
        tolerance: largest difference in potentials, and in activities of rate neurons, between the two.
        bits: of a programmed weight, or None where weights are real numbers.
    """

    emulator: str
    arithmetic: str
    tolerance: float
    bits: int | None


TARGETS: Mapping[str, Target] = {
    "lava-float": Target("torch", "float", 1e-12, None),
    "loihi2": Target("loihi", "fixed", 0.0, 8),
}


def deploy(
    directory: Path,
    target: str,
    output: Path | None = None,
    *,
    chips: str | None = None,
    fine_tune: int | None = None,
    message_threshold: float | None = None,
    data_dir: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Path, dict[str, Any]]:
    """Deploy a run, test it on the whole test set and write a report.

    Args:
        directory: the run.
        target: one of `TARGETS`.
        output: where to write; ``deploy-TARGET`` in the run's folder if None.
        chips: which chips; see `read_run`.
        fine_tune: the most epochs of training on the target, where a chip lost more than a point of
            accuracy on training samples; by default 1, or 0 where the run's feedback is relayed and the
            target cannot do that.
        message_threshold: of a rate network, the largest change of an activity that is not sent; 0 if None.
        data_dir: where data files lie.
        say: told what is being done.

    Returns:
        the folder and the content of its ``summary.json``.

    Raises:
        InputError: the run, the target or the chips are wrong; nothing was written.
        SimulationError: Lava failed.
    """
    if target not in TARGETS:
        raise InputError("--target", target, ", ".join(TARGETS))
    source = read_run(directory, chips, data_dir)
    if source.config["mismatch"].get("seed", 1) is None:
        allowed = "a run whose chips are simulated in its own process: they are quantised from here"
        raise UnsupportedError("RUN", "a run whose chips are elsewhere (chips)", allowed)
    options = _options(source, target, message_threshold)
    epochs = _epochs(source, target, fine_tune)
    folder = output or directory / f"deploy-{target}"
    there = [path for path in folder.iterdir() if not is_leftover(path.name)] if folder.is_dir() else []
    if there and not (folder / "deployment.html").is_file():
        raise InputError("--output", str(folder), "a new folder, an empty one or an earlier deployment")
    summary, parts, tensors = _Deployment(source, TARGETS[target], options, say).run(epochs)
    content = {"target": target, "run": printable(str(directory)), **summary, **provenance()}
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    write_tensors(folder / "weights.safetensors", named(parts.deployed()))
    if tensors:
        write_tensors(folder / "registers.safetensors", tensors)
    write_json(folder / "summary.json", content)
    write_page(folder / "deployment.html", content)
    return folder, content


def _options(source: Source, target: str, message_threshold: float | None) -> dict[str, Any]:
    """Return the keys that rate networks need on machines that send messages."""
    key, given = "--message-threshold", message_threshold
    if source.spikes:
        if given is not None:
            raise InputError(key, given, "nothing: the run's neurons send spikes", "Remove the option.")
        return {}
    if not 0 <= (given or 0.0) < math.inf:
        raise InputError(key, given, "a number >= 0")
    if given and TARGETS[target].arithmetic == "float":
        allowed = "0 with lava-float, which is compared with torch, where every change is seen"
        raise InputError(key, given, allowed, "Use --target loihi2.")
    return {"message_threshold": given or 0.0}


def _epochs(source: Source, target: str, fine_tune: int | None) -> int:
    """Return the most epochs of training on the target, which must have the run's kind of feedback."""
    if not _feedback_left_out(source, TARGETS[target]):
        return 1 if fine_tune is None else fine_tune
    if fine_tune:
        allowed = f"0: {target} cannot relay feedback from layer to layer, as this run's training does"
        raise InputError("--fine-tune", fine_tune, allowed, "Remove the option.")
    return 0


def _feedback_left_out(source: Source, target: Target) -> bool:
    """Whether the run trains with feedback that the target has not; testing needs none."""
    return source.relayed and "relay" not in load("simulators", target.emulator).abilities


class _Deployment:
    def __init__(
        self, source: Source, target: Target, options: dict[str, Any], say: Callable[[str], None]
    ) -> None:
        self.source, self.target, self.options, self.say = source, target, options, say
        self.emulated = options if target.bits else {}
        """The emulator's keys; torch has none of them."""
        lava = load("simulators", "lava")(arithmetic=target.arithmetic, **options)
        fast = load("simulators", target.emulator)(**self.emulated)
        self.machine = Compared(fast, lava, target.tolerance)

    def run(self, fine_tune: int) -> tuple[dict[str, Any], Parts, dict[str, Tensor]]:
        self.say("testing the run in floating point")
        floating = self.source.parts("torch")
        before = evaluate(floating, "test")
        self.say(f"test accuracy {_shown(before)}; testing on {self.target.emulator}")
        parts = self._on_emulator()
        plain = evaluate(parts, "test")
        self.say(f"test accuracy {_shown(plain)}")
        epochs = self._fine_tune(floating, parts, fine_tune)
        self.say("testing on Lava, and comparing")
        tested = self._on_both(parts)
        after = evaluate(tested, "test")
        hardware_block = self.machine.seen
        assert hardware_block is not None
        tensors, roundings = self._registers(parts, hardware_block[1])
        return (
            {
                "chips": list(range(self.source.first, self.source.first + self.source.chips)),
                "samples": len(parts.data.split("test")[0]),
                "test_accuracy_of_run": self._of_run(),
                "test_accuracy_before": before.tolist(),
                "test_accuracy_not_tuned": plain.tolist(),
                "fine_tuned_epochs": epochs,
                "test_accuracy": after.tolist(),
                "test_accuracy_mean": float(after.mean()),
                "test_accuracy_min": float(after.min()),
                "largest_loss": float((before - after).max()),
                "emulator_equals_lava": self.machine.equal,
                "largest_difference": self.machine.largest,
                "cost": self._cost(parts, hardware_block[1].steps),
                "speed": self._speed(tested),
                "quantisation": roundings,
            },
            parts,
            tensors,
        )

    def _of_run(self) -> list[float]:
        accuracies = self.source.summary["test_accuracy"]
        return list(accuracies[self.source.first : self.source.first + self.source.chips])

    def _on_emulator(self) -> Parts:
        """Return the run on the emulator, without feedback if that is of a kind that the target has not."""
        if _feedback_left_out(self.source, self.target):
            return without_feedback(self.source.parts("torch"), self.machine.fast)
        return self.source.parts(self.target.emulator, **self.emulated)

    def _on_both(self, parts: Parts) -> Parts:
        """Return the same chips on the emulator and on Lava at once."""
        chips = ChipPopulation(
            parts.model.network, bench_of(parts.chips).spec, self.machine, parts.seeds.child("chips")
        )
        return replace(parts, chips=chips)

    # fine-tuning

    def _fine_tune(self, floating: Parts, parts: Parts, most: int) -> int:
        """Train on the target while a chip is worse on training samples than in floating point."""
        wanted = evaluate(_training_samples(floating), "validation") if most else torch.zeros(1)
        for epoch in range(most):
            found = evaluate(_training_samples(parts), "validation")
            if float((wanted - found).max()) <= TOLERANCE:
                return epoch
            self.say(f"a chip lost {100 * float((wanted - found).max()):.1f} points: fine-tuning")
            self._train(parts)
        return most

    def _train(self, parts: Parts) -> None:
        """Train one epoch on the target, where whatever is programmed has its few bits.

        The host's weights have all theirs; they are rounded at random, so that steps smaller than a
        level count on average (Gupta et al. 2015, arXiv 1502.02551).
        """
        trained = replace(parts, chips=self._coarse(parts)) if self.target.bits else parts
        for batch in parts.batches(parts.epoch):
            learn(trained, batch, parts.learning_rate)
        parts.epoch += 1

    def _coarse(self, parts: Parts) -> ChipPopulation:
        """Return the same chips with synapses of a few bits, where they have none yet."""
        chips = bench_of(parts.chips)
        kinds = {
            "resolution": Resolution(self.target.bits or 8, rounding="stochastic"),
            **chips.spec.imperfections,
        }
        return chips.sibling(replace(chips.spec, imperfections=kinds))

    # the account

    def _registers(self, parts: Parts, block: Block) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
        """Return what is written into the chips, and what writing it changed."""
        if self.target.arithmetic == "float":
            return {}, []
        assert self.machine.seen is not None
        program = quantise(parts.model.network, self.machine.seen[0], block, **self.options)
        static = (".constant.", "weight.", ".bias", ".exponent")
        registers = {
            name: value.to(torch.int32)
            for name, value in program.arrays.items()
            if any(part in name for part in static)
        }
        return registers, [asdict(row) for row in program.roundings]

    def _cost(self, parts: Parts, steps: int) -> dict[str, Any]:
        """Return the account of a test sample, as means over chips and the test set."""
        spikes = torch.cat(self.machine.spikes, dim=2).mean(dim=(1, 2))
        shown = float(torch.cat(self.machine.shown).mean()) if self.machine.shown else 0.0
        network = parts.model.network
        account = cost(network, shown, spikes, steps)
        if not self.options:
            return account
        return account | {
            "unit": "messages",
            "messages_per_sample": account["spikes_per_sample"],
            "messages_per_sample_if_every_activity_was_sent": float(steps * sum(network.sizes)),
            **self.options,
        }

    def _speed(self, parts: Parts) -> dict[str, Any]:
        """Return seconds for the test set; Lava also one sample at a time, measured on a few."""
        seconds = dict(self.machine.seconds)
        samples = len(parts.data.split("test")[0])
        x, y = parts.data.split("test")
        chips, single = parts.chips.trial(), {"fast": 0.0, "slow": 0.0}
        chips.program(parts.deployed())
        few = replace(parts.data, x_test=x[: SINGLES + 1], y_test=y[: SINGLES + 1])
        for index, (batch, _) in enumerate(
            few.chunks("test", 1, parts.experiment.bridge.target_rates, parts.test_stimulus)
        ):
            self.machine.seconds = {"fast": 0.0, "slow": 0.0}
            chips.present((parts.test_stimulus.phase("free", batch),), *batch.key)
            if index:  # the first one compiles Lava's network
                single = {name: single[name] + spent for name, spent in self.machine.seconds.items()}
        one_at_a_time = single["slow"] / SINGLES * samples
        return {
            "emulator_seconds": seconds["fast"],
            "lava_seconds": seconds["slow"],
            "lava_seconds_one_at_a_time": one_at_a_time,
            "samples_timed_one_at_a_time": SINGLES,
            "emulator_times_faster": seconds["slow"] / seconds["fast"],
            "emulator_times_faster_than_one_at_a_time": one_at_a_time / seconds["fast"],
        }


def _training_samples(parts: Parts) -> Parts:
    """Return parts whose validation set is the beginning of their training set, as long as the test set."""
    data = parts.data
    count = len(data.split("test")[0])
    return replace(parts, data=replace(data, x_val=data.x_train[:count], y_val=data.y_train[:count]))


def _shown(accuracy: Tensor) -> str:
    return " ".join(f"{value:.4f}" for value in accuracy.tolist())
