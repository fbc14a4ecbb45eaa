"""Speed of the simulators against that of an earlier version, in turns and in one run.

    git worktree add ../earlier COMMIT
    python benchmarks/against.py ../earlier [--rounds 9]

Both versions run in processes of their own under the same interpreter, each with its own programs beside this
one, so that what was renamed meanwhile does not matter. In every round each shows the same batches under
control, with shadows, to the same chips; what is printed is the median over rounds of the ratio of processor
times, the earlier version's to this one's: 1 is as fast as before. Adaptive LIF neurons that never adapt, and
so spike alike, are compared with LIF in this version, which adds to each round.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch

HERE = Path(__file__).parent

CASES = {"compiled, 64-100-10, spikes, float64": 2, "compiled, 784-256-10, currents, float32": 0}
"""Their places among the cases of `compiled_presentation`."""

BRIAN2 = "brian2, 64-100-10, spikes"
ADAPTIVE = "adaptive LIF"


def seconds() -> float:
    """Return the processor time of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def jobs(*, adaptive: bool, brian2: bool) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name.

    Args:
        adaptive: adaptive neurons too.
        brian2: Brian2's program too, which is built first.
    """
    import compiled_presentation as compiled  # noqa: PLC0415 (which version it measures is the worker's)

    found: dict[str, Callable[[], object]] = {
        name: compiled.presentation(compiled.CASES[place], 1)[0] for name, place in CASES.items()
    }
    if adaptive:
        found[ADAPTIVE] = adaptive_job(compiled.CASES[next(iter(CASES.values()))])
    if brian2:
        import brian2_presentation  # noqa: PLC0415

        from spiking.simulators.brian2.simulator import Brian2Simulator  # noqa: PLC0415

        network, hardware, phase, start = brian2_presentation.problem()
        simulator = Brian2Simulator()
        found[BRIAN2] = lambda: simulator.run(network, hardware, [phase], {"p": start})
    return found


def adaptive_job(case: object) -> Callable[[], object]:
    """Return the same presentation to adaptive neurons whose thresholds stay."""
    import compiled_presentation as compiled  # noqa: PLC0415

    from spiking.network import chain as plain  # noqa: PLC0415
    from spiking.neurons import ALIF  # noqa: PLC0415

    def chain(sizes, neuron):
        return plain(sizes, ALIF(jump=0.0))

    def hardware(network, g, chips):
        made = own(network, g, chips)
        wider = tuple(
            {**v, "tau_a_ms": 100 * torch.ones_like(v["bias"]), "jump": torch.zeros_like(v["bias"])}
            for v in made.neurons
        )
        return replace(made, neurons=wider, shadows=wider)

    own, before = compiled.hardware, compiled.chain
    compiled.hardware, compiled.chain = hardware, chain
    try:
        return compiled.presentation(case, 1)[0]
    finally:
        compiled.hardware, compiled.chain = own, before


def work(*, adaptive: bool, brian2: bool) -> None:
    """Do what is asked for on standard input, a name a line, and say how long it took."""
    torch.set_num_threads(1)
    ready = jobs(adaptive=adaptive, brian2=brian2)
    for do in ready.values():
        do()
    print("ready", flush=True)
    for line in sys.stdin:
        before = seconds()
        ready[line.strip()]()
        print(seconds() - before, flush=True)


class Worker:
    """One version at work.

    Args:
        tree: its folder.
        options: of its worker.
    """

    def __init__(self, tree: Path, options: list[str]) -> None:
        path = os.pathsep.join([str(tree.resolve()), str(tree.resolve() / "benchmarks")])
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).resolve()), "--worker", *options, "."],
            env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            cwd=tree,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def said(self) -> str:
        """Return the next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def takes(self, name: str) -> float:
        """Return how long a job takes."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name}\n")
        self.process.stdin.flush()
        return float(self.said())


def main() -> int:
    """Print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("earlier", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--no-brian2", action="store_true")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--adaptive", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(adaptive=given.adaptive, brian2=not given.no_brian2)
        return 0
    less = ["--no-brian2"] if given.no_brian2 else []
    then, now = Worker(given.earlier, less), Worker(HERE.parent, [*less, "--adaptive"])
    if [worker.said() for worker in (then, now)] != ["ready", "ready"]:
        return 1
    names = [*CASES, *([] if given.no_brian2 else [BRIAN2])]
    ratios: dict[str, list[float]] = {name: [] for name in (*names, ADAPTIVE)}
    for turn in range(given.rounds):
        for name in names:
            pair = [(worker, worker.takes(name)) for worker in ((then, now) if turn % 2 else (now, then))]
            took = dict(pair)
            ratios[name].append(took[then] / took[now])
        ratios[ADAPTIVE].append(now.takes(names[0]) / now.takes(ADAPTIVE))
    for name, found in ratios.items():
        than = "LIF in this version" if name == ADAPTIVE else "the earlier version"
        print(f"{name}: {median(found):.3f} times the speed of {than} ({min(found):.2f} to {max(found):.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
