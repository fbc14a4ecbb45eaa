"""Code that trains, and means ill, finds nothing of chips that are isolated.

Every attack runs where a rule runs, in the middle of training. Where the chips are simulated in the same
process each of them finds what it is after, which shows that it is an attack; where they are isolated, none
does.
"""

import gc
import inspect
import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from wired import phases

from mismatch import oracle
from mismatch.chip import ChipPopulation
from mismatch.draw import Draw
from mismatch.spec import MismatchSpec
from root.errors import InputError, SpiketrainError, UnsupportedError
from spiketrain.config import load_experiment
from spiketrain.parts import build
from spiketrain.teaching import learn
from spiking.simulators.torch import TorchSimulator

SEED = 8_046_511_207_336_215
SMALL = ["simulator.name=torch", "network.layers=[64, 8, 10]", "training.batch=4", "mismatch.chips=2"]
SMALL += ["simulator.presentation_ms=20", "simulator.window_ms=10"]


ROOMS = {"mismatch", "chips", "spiking", "spiketrain", "learning"}


class Attacker:
    """A rule that does something else first."""

    def __init__(self, rule, attack):
        self._rule, self._attack = rule, attack
        self.found = None

    def __getattr__(self, name):
        return getattr(self._rule, name)

    def update(self, batch, observation, model):
        if self.found is None:
            self.found = list(self._attack(self, batch, observation, model))
        return self._rule.update(batch, observation, model)


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    file = tmp_path_factory.mktemp("secret") / "seed.yaml"
    file.write_text(f"seed: {SEED}\n")
    file.chmod(0o600)
    return file


@pytest.fixture(scope="module")
def isolated(secret):
    where = ["chips.isolated=true", "mismatch.seed=null", f"chips.secret={secret}"]
    parts = build(load_experiment("dfc_lif.yaml", [*SMALL, *where]), None)
    yield parts
    parts.chips.close()


@pytest.fixture
def together():
    """Chips in this process, which are gone when a test has ended."""
    return build(load_experiment("dfc_lif.yaml", [*SMALL, f"mismatch.seed={SEED}"]), None)


@pytest.fixture(scope="module")
def wanted():
    """The truth, as bare numbers: thresholds and a few weights' factors, per chip."""
    experiment = load_experiment("dfc_lif.yaml", [*SMALL, f"mismatch.seed={SEED}"])
    drawn = Draw(experiment.build_network(), experiment.build_mismatch())
    rows = [*drawn.neurons[0]["threshold"], *drawn.weights[0][:, 0]]
    return [tuple(row[:4].tolist()) for row in rows]


def attacked(parts, attack):
    """Return what an attack finds while a batch is learnt."""
    rule = parts.rule
    parts.rule = Attacker(rule, attack)
    try:
        for number, batch in zip(range(2), parts.batches(0), strict=False):
            learn(parts, batch, 0.0)
            if number == 0:
                found = parts.rule.found
                more = parts.rule.__dict__.get("later", [])
        return [*found, *more]
    finally:
        parts.rule = rule


def holds(found, wanted):
    """Return whether one of the things found is, or holds, numbers of the truth."""
    return any(_matches(thing, wanted) for thing in found)


def _matches(thing, wanted):
    if isinstance(thing, bytes):
        return any(np.array(row).tobytes() in thing for row in wanted)
    if isinstance(thing, torch.Tensor):
        if thing.dtype not in (torch.float64, torch.float32) or thing.numel() < 4:
            return False
        flat = thing.detach().double().flatten()
        return any(_inside(flat, row) for row in wanted)
    return False


def _inside(flat, row):
    places = (flat == row[0]).nonzero().flatten().tolist()
    return any(flat[p : p + 4].tolist() == list(row) for p in places)


def reached(thing, depth=6, seen=None):
    """Yield the tensors that can be reached from a thing through attributes and containers."""
    seen = set() if seen is None else seen
    if depth == 0 or id(thing) in seen or isinstance(thing, type | str | bytes | int | float):
        return
    seen.add(id(thing))
    if isinstance(thing, torch.Tensor):
        yield thing
        return
    inside = []
    if isinstance(thing, dict):
        inside = list(thing.values())
    elif isinstance(thing, list | tuple | set | frozenset):
        inside = list(thing)
    elif type(thing).__module__.partition(".")[0] in ROOMS:
        inside = list(vars(thing).values()) if hasattr(thing, "__dict__") else []
    for part in inside:
        yield from reached(part, depth - 1, seen)


def frames(*_):
    """Look through the variables of everything that is running."""
    seen = set()
    for frame in [info.frame for info in inspect.stack()] + list(sys._current_frames().values()):
        for value in list(frame.f_locals.values()):
            yield from reached(value, seen=seen)


def collector(*_):
    """Look through everything that the collector knows."""
    things = gc.get_objects()
    yield from (thing for thing in things if isinstance(thing, torch.Tensor))
    for thing in things:
        if isinstance(thing, ChipPopulation):
            with suppress(SpiketrainError):
                yield from oracle.flatten(oracle.reveal(thing)).values()


def patched(attacker, *_):
    """Change the classes that would compute with the chips, and wait for the next presentation."""
    later = attacker.__dict__["later"] = []
    original = TorchSimulator.run_block

    def run_block(self, network, hardware, block):
        later.extend(reached(hardware))
        TorchSimulator.run_block = original
        return original(self, network, hardware, block)

    TorchSimulator.run_block = run_block
    return []


def seeds(_, __, ___, model):
    """Draw the chips again from every seed that can be found or guessed."""
    known = {model.seeds.seed, *range(50)}
    for thing in gc.get_objects():
        if isinstance(thing, MismatchSpec):
            known.add(thing.seed)
        if isinstance(thing, dict) and isinstance(thing.get("seed"), int):
            known.add(thing["seed"])
    network = model.network
    specs = [thing for thing in gc.get_objects() if isinstance(thing, MismatchSpec) and thing.deviations]
    spec = specs[0] if specs else load_experiment("dfc_lif.yaml", SMALL).build_mismatch()
    for seed in known:
        drawn = Draw(network, MismatchSpec(2, seed, spec.deviations))
        yield drawn.neurons[0]["threshold"]
        yield drawn.weights[0]


ATTACKS = {"frames": frames, "collector": collector, "patched classes": patched, "seeds": seeds}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_finds_chips_in_its_own_process(together, wanted, name):
    assert holds(attacked(together, ATTACKS[name]), wanted)


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_finds_isolated_chips(isolated, wanted, name):
    gc.collect()  # what the other half of these tests held is not for the collector to find
    assert not holds(attacked(isolated, ATTACKS[name]), wanted)


def child_of(chips):
    """Return the process that has the chips."""
    tree = Path("/proc")
    for folder in tree.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                command = (folder / "cmdline").read_bytes()
                if int(stat[1]) == os.getpid() and b"spiketrain.isolation" in command:
                    return folder
    raise AssertionError("no process has the chips")


@pytest.mark.skipif(sys.platform != "linux", reason="looks through /proc")
def test_neither_environment_nor_command_line_nor_shared_memory_say_anything(isolated, wanted, secret):
    child, texts = child_of(isolated.chips), [str(os.environ).encode()]
    for name in ("environ", "cmdline"):
        with suppress(OSError):
            texts.append((child / name).read_bytes())
    shared = [path for path in Path("/dev/shm").glob("*") if path.is_file()]
    for path in shared:
        with suppress(OSError):
            texts.append(path.read_bytes()[:50_000_000])
    assert len(texts) >= 2
    assert not holds(texts, wanted)
    assert not [text for text in texts if str(SEED).encode() in text or str(secret).encode() in text]


@pytest.mark.skipif(sys.platform != "linux", reason="looks through /proc")
def test_the_process_cannot_be_traced_by_others_of_its_account(isolated):
    """What cannot be dumped belongs to root in /proc, which is how the kernel keeps its memory shut."""
    child = child_of(isolated.chips)
    assert (child / "mem").stat().st_uid == 0
    if os.geteuid() != 0:
        with pytest.raises(PermissionError):
            (child / "mem").open("rb")
        with pytest.raises(PermissionError):
            list((child / "fd").iterdir())


def test_files_say_nothing_while_training(isolated, wanted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    began = (tmp_path / "now").stat().st_mtime if (tmp_path / "now").touch() is None else 0

    def files(*_):
        for folder in (tmp_path, Path("/tmp")):
            for path in folder.glob("**/*" if folder == tmp_path else "*"):
                with suppress(OSError):
                    if path.is_file() and path.stat().st_mtime >= began:
                        yield path.read_bytes()[:50_000_000]

    assert not holds(attacked(isolated, files), wanted)
    assert not list(tmp_path.glob("**/truth.safetensors"))


def test_the_wire_gives_no_more_than_the_rule_declared(isolated, wanted):
    """Who takes the connection from a frame can ask what the rule could ask, and nothing else."""

    def wire(*_):
        chips = isolated.chips
        network = chips.network
        for record in ("voltage", "current", "spikes"):
            with pytest.raises(UnsupportedError, match=r"chips\.observe"):
                chips.present([_asked(network, record)], "mine")
        for verb in ("reveal", "truth", "hardware", "spec"):
            with pytest.raises(SpiketrainError):
                chips.line.ask(verb, 0, None, chips.line.life)
        yield from reached(chips.state())
        yield from reached(vars(chips))

    assert not holds(attacked(isolated, wire), wanted)


def _asked(network, record):
    phase = phases(1, 4, record={record}, controlled=False)[0]
    drive = type(phase.drive)(torch.zeros(1, 4, network.inputs, dtype=torch.bool))
    return type(phase)("free", drive, phase.window, record=frozenset({record}))


def test_who_has_the_truth_written_early_learns_nothing_more(secret, tmp_path):
    """The one request that gets the truth out is the last one."""
    where = ["chips.isolated=true", "mismatch.seed=null", f"chips.secret={secret}"]
    parts = build(load_experiment("dfc_lif.yaml", [*SMALL, *where]), None)
    parts.chips.program(parts.model.weights())
    parts.chips.retire(str(tmp_path / "truth.safetensors"))
    assert (tmp_path / "truth.safetensors").exists()
    with pytest.raises(InputError, match="told what they are made of"):
        learn(parts, next(parts.batches(0)), 0.1)
    parts.chips.close()


def test_a_rule_that_asks_for_more_than_it_declares_is_stopped(together):
    class Greedy(Attacker):
        def programs(self, batch, model):
            (program,) = self._rule.programs(batch, model)
            greedy = tuple(replace(phase, record=frozenset({"voltage"})) for phase in program.phases)
            return (replace(program, phases=greedy),)

    rule = together.rule
    together.rule = Greedy(rule, lambda *_: [])
    try:
        with pytest.raises(UnsupportedError, match="asks for voltage"):
            learn(together, next(together.batches(0)), 0.1)
    finally:
        together.rule = rule
