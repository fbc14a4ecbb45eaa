"""What the Brian2 simulator builds, when, and what it refuses; nothing here is compiled."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from root.errors import InputError, SimulationError
from spiking.blocks.block import Block
from spiking.blocks.snapshots import initial_snapshot
from spiking.hardware import Hardware
from spiking.network import Network, chain
from spiking.neurons import LIF
from spiking.presentation import CurrentDrive, SpikeDrive
from spiking.simulators.brian2 import cache
from spiking.simulators.brian2.shape import Shape
from spiking.simulators.brian2.simulator import Brian2Simulator
from spiking.simulators.brian2.structure import shape_of


def hardware(network: Network, chips: int) -> Hardware:
    neurons = tuple(
        {p.field: torch.full((chips, layer.size), float(getattr(layer.neuron, p.field))).double()
         for p in layer.neuron.parameters}
        for layer in network.layers
    )  # fmt: skip
    weights = tuple(
        torch.zeros(chips, network.sizes[c.pre], network.sizes[c.post]).double() for c in network.connections
    )
    return Hardware(neurons, neurons, weights, (), {})


def shape(network: Network, chips=1, batch=2, steps=5, *, shadow=False, currents=False) -> Shape:
    chip = hardware(network, chips)
    uniform = [torch.zeros(chips, batch, layer.size).double() for layer in network.layers]
    spikes = SpikeDrive(torch.zeros(batch, steps, network.inputs, dtype=torch.bool))
    block = Block(
        drive=CurrentDrive(torch.zeros(batch, network.inputs).double()) if currents else spikes,
        window=torch.ones(batch, steps).double(),
        start=initial_snapshot(network, chip, uniform, shadow),
        target=None,
        controlled=torch.zeros(batch),
        kp=torch.zeros(batch),
        ki_per_ms=torch.zeros(batch),
        leak_per_ms=torch.zeros(batch),
        softmax=torch.zeros(batch),
        noise=None,
        currents=(),
        shadow=shadow,
        record=frozenset(),
    )
    return shape_of(network, chip, block)


PLAIN = chain([4, 3, 2], LIF())


@pytest.fixture
def builds(tmp_path, monkeypatch):
    """A cache of its own, and a list of what was built in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    built = []

    def build(shape, home):
        built.append(shape)
        home.mkdir()
        (home / "main").write_text("program")

    monkeypatch.setattr(cache, "_build", build)
    return built


def test_one_program_serves_all_chips_batches_lengths_steps_and_parameter_values():
    other = chain([4, 3, 2], LIF(threshold=2.0, tau_m_ms=7), dt_ms=0.5, max_rate_hz=50, readout_tau_ms=3)
    assert shape(PLAIN) == shape(other, chips=3, batch=7, steps=11)


@pytest.mark.parametrize(
    "other",
    [
        shape(chain([4, 3, 2], LIF(), delay_steps=2)),
        shape(chain([4, 3, 3], LIF())),
        shape(chain([4, 3, 2], LIF(refractory_ms=2))),
        shape(PLAIN, shadow=True),
        shape(PLAIN, currents=True),
    ],
)
def test_a_different_structure_is_a_different_program(other):
    assert other.digest() != shape(PLAIN).digest()


def test_a_shape_survives_the_way_to_the_process_that_builds():
    original = shape(chain([4, 3, 2], LIF(refractory_ms=2), delay_steps=3), shadow=True)
    assert Shape.from_json(original.to_json()) == original


def test_a_program_is_built_once_even_when_many_ask_at_the_same_time(builds):
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(cache.program, [shape(PLAIN)] * 8))
    assert len(builds) == len(paths) == 1
    cache.program(shape(PLAIN, shadow=True))
    assert len(builds) == 2


def test_what_a_killed_build_leaves_is_cleared_and_never_taken_for_a_program(builds):
    wanted = shape(PLAIN)
    home = cache.folder() / wanted.digest(*cache._surroundings())
    abandoned = home.parent / f"{home.name}.build-abc" / "code"
    abandoned.mkdir(parents=True)
    (abandoned / "main").write_text("half a prog")
    assert cache.program(wanted).read_text() == "program"
    assert not abandoned.parent.exists()


def test_a_build_that_fails_says_so_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cache.sys, "executable", "false")
    with pytest.raises(SimulationError, match="could not build"):
        cache.program(shape(PLAIN))
    assert [path.suffix for path in cache.folder().iterdir()] in ([], [".lock"])


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match="XDG_CACHE_HOME"):
        cache.program(shape(PLAIN))


def test_without_a_compiler_it_says_so_and_runs_in_numpy(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.warns(RuntimeWarning, match=r"no C\+\+ compiler"):
        assert Brian2Simulator().mode == "runtime"
    assert "install" in Brian2Simulator.status()[1]


@pytest.mark.parametrize(
    "options",
    [{"dtype": torch.float32}, {"device": "cuda"}, {"mode": "fast"}],
    ids=["dtype", "device", "mode"],
)
def test_what_it_cannot_do_is_refused(options):
    with pytest.raises(InputError, match="simulator"):
        Brian2Simulator(**options)
