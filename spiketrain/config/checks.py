"""What no single key can tell: whether the parts fit together and every option has an effect."""

from __future__ import annotations

from learning.optimizers import SGD
from learning.rule import LearningRule
from mismatch.spec import MismatchSpec
from rate_bridge.sequences import Form
from root.errors import InputError, UnsupportedError
from spiketrain.arms.base import Arm
from spiketrain.config.design import Design
from spiketrain.config.effects import check_effects, refuse
from spiketrain.config.places import check_places
from spiketrain.config.placing import check_device, check_room
from spiketrain.config.sections import BridgePart
from spiketrain.tasks.base import Task
from spiking.network import Network
from spiking.simulators.base import Simulator

__all__ = ["check", "check_data", "check_fit", "check_form"]


def check(experiment: Design) -> None:
    """Raise `InputError` for the first thing about `experiment` that cannot be or does nothing."""
    experiment.simulator.steps()
    experiment.simulator.steps(test=True)
    _check_targets(experiment)
    check_device(experiment.simulator.device)
    task = experiment.build_task()
    _check_times(experiment, task)
    if task.form is not None:
        check_form(experiment, task.form)
    if task.shape is not None:
        check_fit(experiment, *task.shape)
    network = experiment.build_network()
    experiment.network.weight_gains(network)
    experiment.network.bias_spreads(network)
    check_places(experiment)
    spec = experiment.build_mismatch()
    _check_memory(experiment)
    rule = experiment.build_rule()
    rule.check(network)
    rule.check_feedback(network)
    rule.check_connections(network, on_chip=experiment.training.plasticity == "on_chip")
    simulator = experiment.build_simulator()
    simulator.check(network)
    spec.check_machine(simulator)
    check_effects(experiment, task, spec, rule, simulator)
    _check_together(experiment, rule, simulator)
    _check_plasticity(experiment, spec, rule, simulator)
    arm = experiment.build_arm()
    arm.check(rule, spec)
    arm.check_network(network)
    if arm.one_model and experiment.training.presentations is not None:
        given = experiment.training.presentations
        refuse("training.presentations", given, None, f"the arm {arm.name} shows the chips nothing to learn")
    _check_analysis(experiment, network, arm)


def check_fit(experiment: Design, inputs: int, outputs: int) -> None:
    """Raise `InputError` where the network's ends do not fit a task of `inputs` and `outputs`."""
    sizes, name = experiment.build_network().sizes, experiment.task.name
    lines = experiment.build_encoding().lines(inputs)
    key, given = experiment.network.source
    given = given if given == list(sizes) else f"{given} with {list(sizes)}"
    if sizes[0] != lines:
        encoded = "" if lines == inputs else f", on {lines} lines ({experiment.bridge.encoding.name})"
        raise InputError(key, given, f"{lines} first: the task {name} has {inputs} inputs{encoded}")
    if sizes[-1] != outputs:
        raise InputError(key, given, f"{outputs} last: the task {name} has {outputs} outputs")


def check_form(experiment: Design, form: Form, lasting_ms: float = 0.0) -> None:
    """Raise `InputError` where samples cannot be encoded, or last longer than a presentation.

    Args:
        experiment: the configuration.
        form: of the samples.
        lasting_ms: how long the longest lasts.
    """
    experiment.build_encoding().check_form(form)
    part = experiment.simulator
    for prefix, shown in (("", part.presentation_ms), ("test_", part.test_presentation_ms)):
        if lasting_ms > shown * (1 + 1e-9):
            allowed = f"{lasting_ms:g} or more: so long lasts the longest sample of {experiment.task.name}"
            raise InputError(f"simulator.{prefix}presentation_ms", shown, allowed)


def check_data(wanted: str | None, found: str | None) -> None:
    """Raise `InputError` where the data are not those whose checksum the config gives."""
    if wanted is not None and wanted != found:
        allowed = "no checksum: the task reads no file" if found is None else f"{found}, that of the data"
        fix = "The data have changed; without this key they are taken as they are now."
        raise InputError("task.sha256", wanted, allowed, "" if found is None else fix)


def _check_times(experiment: Design, task: Task) -> None:
    """Raise `InputError` where samples over time are not what is shown of them."""
    run, part = task.free_run, experiment.simulator
    if run is None:
        return
    experiment.build_rule().check_moving()
    if part.dt_ms != run.dt_ms:
        raise InputError("task.dt_ms", run.dt_ms, f"{part.dt_ms:g}, which is simulator.dt_ms")
    for prefix, steps in (("", run.train), ("test_", run.test)):
        shown, _ = part.steps(test=bool(prefix))
        if steps != shown:
            allowed = f"{steps * run.dt_ms:g}, as long as the samples of the task are"
            raise InputError(f"simulator.{prefix}presentation_ms", shown * part.dt_ms, allowed)
    low, high = experiment.bridge.target_rates
    if (low, high) != BridgePart().target_rates:
        refuse("bridge.target_rates", [low, high], [*BridgePart().target_rates], "states are no rates")
    if experiment.build_encoding().kind != "current":
        allowed = "current: commands change in every step"
        raise InputError("bridge.encoding.name", experiment.bridge.encoding.name, allowed)
    if run.controlled and not experiment.build_rule().controls:
        allowed = "0: the rule has no controller that could hold a system"
        raise InputError("task.controlled_ms", run.controlled * part.dt_ms, allowed)


def _check_targets(experiment: Design) -> None:
    low, high = experiment.bridge.target_rates
    if low >= high:
        raise InputError("bridge.target_rates", [low, high], "two rates, the lower one first")


def _check_together(experiment: Design, rule: LearningRule, simulator: Simulator) -> None:
    """Refuse what would fail at the first batch: an input or an update that the next part cannot take."""
    clock = experiment.clock
    encoding, optimizer = experiment.build_encoding(), experiment.build_optimizer()
    if encoding.kind not in simulator.encodings:
        given = experiment.bridge.encoding.name
        allowed = (
            f"one that gives {' or '.join(sorted(simulator.encodings))}, for the simulator {simulator.name}"
        )
        raise InputError("bridge.encoding.name", given, allowed)
    encoding.check(clock.dt_ms, clock.max_rate_hz)
    simulator.check_input(experiment.build_network(), encoding.largest_current)
    if optimizer.needs_outer and not rule.gives_outer:
        allowed = f"sgd or adam: the rule {rule.name} gives its changes as a whole"
        raise InputError("training.optimizer.name", optimizer.name, allowed)
    arm = experiment.build_arm()
    if optimizer.needs_outer and not arm.keeps_outer(rule):
        allowed = f"sgd or adam: the arm {arm.name}, as it is set, gives its changes as a whole"
        raise InputError("training.optimizer.name", optimizer.name, allowed)
    experiment.build_augmentation()


def _check_analysis(experiment: Design, network: Network, arm: Arm) -> None:
    experiment.build_tracker()
    if not experiment.analysis.measures:
        return
    if len(network.connections) > network.depth or not network.dense:
        allowed = "false: the measures are those of a chain of all-to-all layers"
        raise InputError("analysis.measures", True, allowed)
    if any(layer.neuron.emits_spikes for layer in network.layers):
        allowed = "false: the Jacobian of spiking chips takes a study of its own"
        raise InputError("analysis.measures", True, allowed, "spiketrain identify measures it")
    if arm.one_model:
        raise InputError("analysis.measures", True, f"false: {arm.name} trains one model for all chips")


def _check_memory(experiment: Design) -> None:
    check_room(experiment.simulator.device, experiment.estimate_memory_bytes())
    needed, limit = experiment.estimate_memory_bytes() / 1e9, experiment.limits.memory_gb
    if needed > limit:
        raise InputError(
            "limits.memory_gb",
            f"an experiment that needs about {needed:.3g} GB",
            f"at most {limit:g} GB",
            "smaller network.layers, training.batch or mismatch.chips, or a higher limits.memory_gb",
        )


def _check_windows(experiment: Design, abilities: frozenset[str], *, on_chip: bool) -> None:
    """Refuse several windows where what the machine sums up itself is one sum over all of them."""
    windows, decision = experiment.simulator.windows, experiment.bridge.decision
    if windows == 1:
        if decision != "last":
            refuse("bridge.decision", decision, "last", "there is one window")
        return
    if on_chip or abilities & {"noise", "plasticity", "eligibility"}:
        allowed = "1: the synapses themselves sum over a presentation, with this rule"
        raise UnsupportedError("simulator.windows", windows, allowed)


def _check_plasticity(
    experiment: Design, spec: MismatchSpec, rule: LearningRule, simulator: Simulator
) -> None:
    training = experiment.training
    on_chip = training.plasticity == "on_chip"
    _check_windows(experiment, rule.abilities(on_chip=on_chip), on_chip=on_chip)
    if missing := rule.abilities(on_chip=on_chip) - simulator.abilities:
        allowed = f"a simulator with {', '.join(sorted(missing))} (torch)"
        raise InputError("simulator.name", simulator.name, allowed)
    if not on_chip:
        return
    together = training.batch > 1 and "eligibility" in rule.abilities(on_chip=True)
    if together and "shared_synapses" not in simulator.abilities:
        allowed = f"1: in {simulator.name}, synapses that change in every step have one sample at a time"
        raise InputError("training.batch", training.batch, allowed, "Or use the simulator torch.")
    optimizer = experiment.build_optimizer()
    if optimizer != SGD():
        given = {"name": training.optimizer.name, **training.optimizer.options}
        raise InputError("training.optimizer", given, "sgd without options: the chips make the steps")
    if training.guard is not None:
        refuse("training.guard", training.guard.model_dump(), None, "the chips make the steps")
    if training.average:
        refuse("training.average", training.average, 0.0, "the weights are read once for many batches")
    for name, kind in spec.imperfections.items():
        if not kind.spares_synapses:
            allowed = "training.plasticity: host beside it"
            raise InputError(f"mismatch.{name}", "an imperfection of synapses", allowed)
