"""An experiment trains the same to the last bit wherever its chips are."""

import subprocess
import sys

import pytest
import torch
from typer.testing import CliRunner

from chips.wire.links import Address, LostError
from learning.stimulus import Batch
from root.errors import InputError, UnsupportedError
from spiketrain.config import load_experiment
from spiketrain.evaluation import evaluate
from spiketrain.experiment import run, run_in_memory
from spiketrain.isolation import hidden
from spiketrain.parts import build
from spiketrain.teaching import learn

SMALL = ["simulator.name=torch", "network.layers=[64, 20, 10]", "training.batch=8", "training.epochs=1"]
SHORT = [*SMALL, "simulator.presentation_ms=40", "simulator.window_ms=20"]
SHORT += ["simulator.test_presentation_ms=40", "simulator.test_window_ms=20"]
BATCHES = 5


def experiment(*overrides):
    return load_experiment("dfc_lif.yaml", [*SHORT, *overrides])


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    """A file with the seeds that dfc_lif.yaml has, which its owner alone can read."""
    file = tmp_path_factory.mktemp("secret") / "seed.yaml"
    file.write_text("seed: 1\nnoise: 0\n")
    file.chmod(0o600)
    return file


def trained(experiment, between=lambda number: None):
    """Return the weights after a few batches, the accuracies, and the parts."""
    parts = build(experiment, None)
    for number, batch in zip(range(BATCHES), parts.batches(0), strict=False):
        between(number)
        learn(parts, batch, parts.learning_rate)
    some = parts.data
    parts.data = type(some)(**{**vars(some), "x_test": some.x_test[:40], "y_test": some.y_test[:40]})
    return [p.detach().clone() for p in parts.model.parameters()], evaluate(parts, "test"), parts


@pytest.fixture(scope="module")
def here():
    return trained(experiment())[:2]


def alike(one, other):
    pairs = zip([*one[0], one[1]], [*other[0], other[1]], strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_isolated_chips_learn_the_same_to_the_last_bit(here, secret):
    there = trained(experiment("chips.isolated=true", "mismatch.seed=null", f"chips.secret={secret}"))
    assert alike(here, there)
    assert there[2].saw == {"rates", "control signal"}


class Served:
    """``spiketrain chips serve`` in a process of its own."""

    def __init__(self, path, *overrides):
        self.at, self.overrides = f"ipc://{path}", overrides
        self.start()

    def start(self):
        given = [word for override in [*SHORT, *self.overrides] for word in ("--set", override)]
        command = [
            sys.executable,
            "-m",
            "spiketrain.cli",
            "chips",
            "serve",
            "-c",
            "dfc_lif.yaml",
            "--at",
            self.at,
        ]
        self.process = subprocess.Popen([*command, *given], stdout=subprocess.PIPE, text=True)

    def wait(self):
        assert "Ctrl-C ends it" in self.process.stdout.readline()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def test_a_rack_of_two_servers_one_of_which_is_killed_learns_the_same(here, tmp_path):
    servers = [
        Served(tmp_path / "a", "mismatch.chips=2"),
        Served(tmp_path / "b", "mismatch.chips=2", "mismatch.first_chip=2"),
    ]

    def between(number):
        if number == 2:
            servers[1].kill()
            servers[1].start()  # it takes seconds until it answers again

    try:
        for server in servers:
            server.wait()
        at = f"chips.at=[{servers[0].at}, {servers[1].at}]"
        there = trained(experiment(at, "mismatch.seed=null", "chips.patience_s=120"), between)
        assert alike(here, there)
        assert there[2].chips.answers.all()
        there[2].chips.close()
        with pytest.raises(InputError, match=r"mismatch\.chips.*so many are at"):
            build(experiment(f"chips.at={servers[0].at}", "mismatch.seed=null"), None)
    finally:
        for server in servers:
            server.kill()
    with pytest.raises(LostError):
        Address.parse(servers[0].at).connect(1)


def test_a_run_with_isolated_chips_writes_the_truth_at_its_end_and_resumes(tmp_path, secret):
    where = ["chips.isolated=true", "mismatch.seed=null", f"chips.secret={secret}", "training.epochs=2"]
    few = ["network.layers=[64, 8, 10]", "training.batch=256", "mismatch.chips=2"]
    there = run(experiment(*few, *where), tmp_path / "there", quiet=True, report=False)
    here = run(experiment(*few, "training.epochs=2"), tmp_path / "here", quiet=True, report=False)
    assert there.summary["test_accuracy"] == here.summary["test_accuracy"]
    assert there.summary["saw"] == ["control signal", "rates"]
    for name in ("truth.safetensors", "weights.safetensors"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
    assert not (tmp_path / "there" / "samples.safetensors").exists()  # voltages are not for the asking
    with pytest.raises(InputError, match="told what they are made of"):
        evaluate(there.parts, "test")
    again = run(experiment(*few, *where), tmp_path / "there", resume=True, quiet=True, report=False)
    assert again.summary["test_accuracy"] == here.summary["test_accuracy"]


def test_a_drawn_seed_ends_with_its_process(tmp_path):
    few = ["network.layers=[64, 8, 10]", "training.batch=512", "mismatch.chips=1", "chips.isolated=true"]
    one = experiment(*few, "mismatch.seed=null")
    run(one, tmp_path / "run", quiet=True, report=False)
    with pytest.raises(InputError, match=r"chips\.secret names a file"):
        run(one, tmp_path / "run", resume=True, quiet=True, report=False)
    assert "seed: null" in (tmp_path / "run" / "config.yaml").read_text().partition("mismatch:")[2]


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["chips.isolated=true"], "mismatch.seed"),
        (["mismatch.seed=null"], "mismatch.seed"),
        (["chips.at=ipc:///tmp/x", "mismatch.seed=null", "chips.isolated=true"], "chips.isolated"),
        (["chips.at=[]", "mismatch.seed=null"], "chips.at"),
        (["chips.at=tcp://10.0.0.1:80", "mismatch.seed=null"], "chips.at"),
        (["chips.at=[ipc://x, ipc://x]", "mismatch.seed=null"], "chips.at"),
        (["chips.at=tcp://127.0.0.1:80", "mismatch.seed=null"], "chips.key"),
        (["chips.at=ipc://x", "mismatch.seed=null", "chips.key=x"], "chips.key"),
        (["chips.secret=x"], "chips.secret"),
        (["chips.reveal=false"], "chips.reveal"),
        (["chips.patience_s=3"], "chips.patience_s"),
        (["chips.timeout_s=3"], "chips.timeout_s"),
        (["rule=surrogate_bptt", "training.optimizer=adam", "chips.observe=[]"], "chips.observe"),
    ],
)
def test_what_cannot_be_or_does_nothing_is_refused(overrides, key):
    with pytest.raises(InputError) as caught:
        experiment(*overrides)
    assert caught.value.key == key


def test_an_address_where_nobody_is_is_refused_at_once(tmp_path):
    with pytest.raises(InputError, match="spiketrain chips serve"):
        build(experiment(f"chips.at=ipc://{tmp_path}/nobody", "mismatch.seed=null"), None)


def test_a_secret_that_says_something_else_is_refused(tmp_path):
    file = tmp_path / "secret"
    for content in ("seed: one", "seed: 1\nnoise: x", "sed: 1", "- 1", ""):
        file.write_text(content)
        file.chmod(0o600)
        with pytest.raises(InputError):
            hidden(str(file))
    file.write_text("seed: 1")
    file.chmod(0o644)
    with pytest.raises(InputError, match=r"chips\.secret.*chmod 600"):  # said by the process that reads it
        build(experiment("chips.isolated=true", "mismatch.seed=null", f"chips.secret={file}"), None)


def test_arms_that_need_the_truth_or_others_are_told_why(secret):
    where = ["chips.isolated=true", "mismatch.seed=null", f"chips.secret={secret}"]
    with pytest.raises(UnsupportedError, match=r"training\.arm.*true parameters"):
        build(experiment(*where, "training.arm=oracle"), None)
    parts = build(experiment(*where, "training.arm=offline"), None)
    batch = next(parts.batches(0))
    learn(parts, Batch(batch.x[:2], batch.target[:2], batch.key), 0.1)  # the design is public


def test_a_run_in_memory_keeps_asking(secret):
    few = ["network.layers=[64, 8, 10]", "training.batch=512", "mismatch.chips=1"]
    where = ["chips.isolated=true", "mismatch.seed=null", f"chips.secret={secret}"]
    done = run_in_memory(experiment(*few, *where), quiet=True)
    assert evaluate(done.parts, "test").tolist() == done.summary["test_accuracy"]


def test_what_needs_the_chips_here_is_refused_by_the_commands():
    from spiketrain.commands import chips  # noqa: PLC0415

    runner = CliRunner()
    elsewhere = ["-c", "dfc_lif.yaml", "-s", "chips.isolated=true", "-s", "mismatch.seed=null"]
    drawn = runner.invoke(chips.app, elsewhere)
    assert (drawn.exit_code, "cannot be drawn here" in drawn.output) == (2, True)
    served = runner.invoke(chips.app, ["serve", "--at", "ipc:///tmp/x", *elsewhere])
    assert (served.exit_code, "only these can be served" in served.output) == (2, True)
    early = runner.invoke(chips.app, ["-c", "dfc_lif.yaml", "check", "ipc:///tmp/nobody"])
    assert (early.exit_code, "options after the command" in early.output) == (2, True)


def test_a_silent_chip_keeps_its_model():
    parts = build(experiment("mismatch.chips=2"), None)
    before = [p.detach().clone() for p in parts.model.parameters()]
    type(parts.chips).answers = property(lambda self: torch.tensor([True, False]))
    try:
        learn(parts, next(parts.batches(0)), 0.1)
    finally:
        del type(parts.chips).answers
    for value, old in zip(parts.model.parameters(), before, strict=True):
        assert torch.equal(value[1], old[1])
    assert any(
        not torch.equal(value[0], old[0]) for value, old in zip(parts.model.parameters(), before, strict=True)
    )
