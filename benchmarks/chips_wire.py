"""What a wire between training and its chips costs: batches of a shipped config, here and in another process.

``python benchmarks/chips_wire.py [config] [batches] [key=value ...]``: by default the digits config
``dfc_lif.yaml``. Every batch is learnt twice, by turns: by a run whose chips are in its own process and by
one whose chips are isolated; both learn the same to the last bit. What is compared is the time of a whole
batch, presentation, update and programming.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from spiketrain.config import load_experiment
from spiketrain.parts import Parts, build
from spiketrain.teaching import learn

WARM_UP = 3
"""Batches that are not counted: the first ones build what is kept."""


def here_and_there(config: str, overrides: list[str]) -> tuple[Parts, Parts]:
    """Return an experiment with its chips here, and the same with isolated ones."""
    experiment = load_experiment(config, overrides)
    file = Path(tempfile.mkdtemp()) / "secret.yaml"
    file.touch(mode=0o600)
    file.write_text(
        f"seed: {experiment.mismatch.seed}\nnoise: {experiment.training.seed}\n", encoding="utf-8"
    )
    where = ["chips.isolated=true", "mismatch.seed=null", f"chips.secret={file}"]
    return build(experiment, None), build(load_experiment(config, [*overrides, *where]), None)


def main() -> None:
    """Measure and print milliseconds a batch, and the ratio of pairs."""
    words = sys.argv[1:]
    config = words[0] if words else "dfc_lif.yaml"
    wanted = int(words[1]) if len(words) > 1 else 30
    runs = here_and_there(config, words[2:])
    batches = [list(parts.batches(0)) for parts in runs]
    seconds: list[tuple[float, ...]] = []
    for number in range(WARM_UP + wanted):
        spent = [0.0, 0.0]
        for which in (0, 1) if number % 2 else (1, 0):
            began = time.perf_counter()
            learn(runs[which], batches[which][number % len(batches[which])], 0.001)
            spent[which] = time.perf_counter() - began
        if number >= WARM_UP:
            seconds.append(tuple(spent))
    same = all(map(torch.equal, *(parts.model.parameters() for parts in runs)))
    here, there = (1e3 * statistics.median(column) for column in zip(*seconds, strict=True))
    ratio = statistics.median(b / a for a, b in seconds)
    print(
        f"{config}: {here:.1f} ms a batch here, {there:.1f} ms there; median of {wanted} ratios {ratio:.3f}"
    )
    print(f"the same weights to the last bit: {'yes' if same else 'NO'}")


if __name__ == "__main__":
    main()
