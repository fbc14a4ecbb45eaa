"""What a run shows of itself while it trains."""

from __future__ import annotations

import io

from rich.console import Console

from spiketrain.record import progress
from spiketrain.record.progress import Bar, Lines, Silent


def test_a_file_gets_what_is_trained_and_a_line_per_epoch() -> None:
    console = Console(file=io.StringIO())
    with progress(2, console=console) as shown:
        assert isinstance(shown, Lines)
        shown.stage("reading the data")
        shown.start("dfc on digits", 3)
        for epoch in (1, 2):
            for _ in range(3):
                shown.batch()
            shown.epoch(epoch, {"validation_accuracy": [0.25 * epoch, 0.5 * epoch]})
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "dfc on digits; 2 epochs of 3 batches"
    assert lines[1].startswith("epoch 1 of 2  validation accuracy 37.5 % mean, 25.0 % worst of 2 chips  ")
    assert lines[2].startswith("epoch 2 of 2  validation accuracy 75.0 % mean, 50.0 % worst of 2 chips  ")
    assert lines[2].endswith(" s")


def test_a_terminal_gets_a_bar_and_quiet_nothing() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress(2, console=console) as shown:
        assert isinstance(shown, Bar)
        shown.stage("reading the data")
        shown.start("dfc on digits", 3, done=1)
        shown.stage("training")
        shown.batch()
        shown.epoch(2, {"output_error": [0.25]})
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    words = ("dfc on digits; 2 epochs of 3 batches, 1 done", "training", "of 6 batches", "output error 0.25")
    assert [one for one in words if one not in said] == []
    with progress(2, quiet=True, console=console) as shown:
        assert isinstance(shown, Silent)
