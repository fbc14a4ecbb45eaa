"""Turn a shape into a program; run as ``python -m spiking.simulators.brian2.build SHAPE FOLDER``.

Brian2 keeps what it builds in the state of the process, so every build has a process of its own.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import brian2

from spiking.simulators.brian2.model import build_model
from spiking.simulators.brian2.operators import learning, operators, transfers
from spiking.simulators.brian2.shape import Shape

__all__ = ["build"]

LANES = 8
"""Samples of a tile: enough to make light of the cost of a call, few enough to stay in the cache."""

FLAGS = ["-O3", "-march=native", "-fno-math-errno", "-ffp-contract=off", "-std=c++11", "-w"]
"""Nothing that changes the result of an operation, so that all simulators round alike."""

TILES = """
exchange::Block &block = exchange::block();
const int64_t together = {together};
for (block.chip = 0; block.chip < block.chips; block.chip++)
    for (int64_t from = 0; from < block.batch; from += together) {{
        const int64_t to = std::min<int64_t>(from + together, block.batch);
        for (block.first = from; block.first < to; block.first += {lanes}) {{
            block.lanes = std::min<int64_t>({lanes}, to - block.first);
            {load}
            stepclock.dt[0] = block.dt();
            stepclock.timestep[0] = 0;
            stepclock.t[0] = {network}.t = 0.0;
            {network}.run(block.steps * block.dt(), NULL, 10.0);
            {store}
        }}
        {learn}
    }}
return 0;  // everything wanted is in the shared memory: Brian2 need not write its arrays
"""


def build(shape: Shape, folder: Path) -> None:
    """Generate and compile the program ``main`` in `folder`."""
    brian2.set_device("cpp_standalone", build_on_run=False, directory=str(folder))
    brian2.prefs.codegen.loop_invariant_optimisations = False
    brian2.prefs.codegen.cpp.headers = ['"exchange.h"']
    device = brian2.get_device()
    model = build_model(shape, LANES, dt_ms=1.0)
    network = brian2.Network(*model.groups, *operators(model), name="network")
    device.insert_code("before_start", "exchange::open(std::stoi(args.at(0)), std::stoull(args.at(1)));")
    device.insert_code("before_start", "args.clear();  // Brian2 would take them for variables")
    network.run(0 * brian2.second, namespace={})
    load, store = transfers(model, LANES)
    together, learn = learning(model)
    newline = "\n            "
    device.insert_code(
        "main",
        TILES.format(
            lanes=LANES,
            load=newline.join(load),
            store=newline.join(store),
            learn=newline.join(learn),
            together=together,
            network="network",
        ),
    )
    device.build(directory=str(folder), compile=False, run=False, with_output=False)
    _compile(folder)


def _compile(folder: Path) -> None:
    """Compile and link; the large header that every file includes is read once, for all of them."""
    compiler = shlex.split(os.environ.get("CXX", "")) or ["g++"]
    common = [*compiler, *FLAGS, "-I.", f"-I{Path(__file__).parent}"]

    def call(*arguments: str) -> None:
        subprocess.run([*common, *arguments], cwd=folder, check=True)

    call("-x", "c++-header", "objects.h", "-o", f"objects.h.{'pch' if 'clang' in compiler[0] else 'gch'}")
    sources = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.cpp"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(
            pool.map(lambda source: call("-include", "objects.h", "-c", source, "-o", f"{source}.o"), sources)
        )
    call(*(f"{source}.o" for source in sources), "-o", "main")


if __name__ == "__main__":
    build(Shape.from_json(Path(sys.argv[1]).read_text("utf-8")), Path(sys.argv[2]))
