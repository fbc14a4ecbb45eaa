"""A sample that lasts, on one chip under control, as it happens."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from spiketrain.report.activity import draw_events, draw_outputs, draw_target, events, tidy
from spiketrain.report.drawing import Drawing, Omitted
from spiketrain.report.playing import Playing
from spiketrain.report.run_files import RunFiles
from spiketrain.report.style import MUTED, blank

__all__ = ["playback"]

MOST_MARKS = 1500
"""More spikes of a layer are points instead of lines: the file is to be small."""

MOST_STEPS = 200
"""Points of a line; of a longer sample every second step is drawn, or every third, ..."""


def playback(run: RunFiles) -> Drawing | Omitted:
    """Spikes, output over target, and control signal of the last phase under control, playing."""
    title, samples = "A sample under control, as it happens", run.samples
    phases = [] if samples is None else [p for p, traces in samples.traces.items() if traces.get("control")]
    if samples is None or not phases:
        return Omitted(title, "No sample was recorded under control.")
    if not samples.lasting:
        return Omitted(title, "Nothing changes while a sample is shown.")
    phase = phases[-1]
    traces, dt_ms, scale = samples.traces[phase], samples.dt_ms, samples.max_rate_hz
    given = list(traces.get("input", ()))
    layers = list(zip(run.layers if given else run.layers[1:], [*given, *traces["spikes"]], strict=True))
    heights = [0.6 + min(trace.shape[1], 200) / 80 for _, trace in layers]
    figure, axes = blank(
        len(layers) + 2,
        1,
        1.0 + 0.75 * (sum(heights) + 3.2),
        sharex=True,
        height_ratios=[*heights, 1.8, 1.4],
    )
    panels, tables = [row[0] for row in axes], []
    for ax, (name, trace) in zip(panels, layers, strict=False):
        draw_events(ax, trace, dt_ms, run.layers.index(name), most=MOST_MARKS)
        ax.set_ylabel(f"{name}\nneuron" if name != run.layers[0] else f"{name}\nline")
        tables.append(events(trace, dt_ms).assign(trace=name))
    output, control = panels[-2:]
    moving = traces.get("target")
    steps = len(traces["readout"][0])
    each = -(-steps // MOST_STEPS)
    few = replace(samples, dt_ms=each * dt_ms)
    readout, signal = (traces[trace][0][each - 1 :: each] for trace in ("readout", "control"))
    draw_outputs(output, readout * scale, few, None if moving else samples.target * scale)
    if moving:
        draw_target(output, moving[0][each - 1 :: each] * scale, few.dt_ms)
    output.set(ylabel="output (Hz)", xlabel="")
    draw_outputs(control, signal, few, None)
    control.set_xlim(0.0, steps * dt_ms)
    control.axhline(0.0, color=MUTED, linewidth=0.8)
    control.set_ylabel("control u\n(1 = max.)")
    output.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    for name, unit in (("readout", scale), ("control", 1.0)):
        table = tidy(samples, [phase], name, unit, "value").rename(columns={"output": "neuron"})
        tables.append(table.drop(columns="phase").assign(trace=name))
    spikes = ", ".join(f"{name} {int(trace.sum())}" for name, trace in layers)
    return Drawing(
        "playback",
        title,
        f"Chip {samples.chip} in the {phase} phase of one sample, {steps * dt_ms:g} ms; spikes: {spikes}.",
        "Layers from the input down; below them the read-out traces, dashed their targets, and what the "
        "controller adds. Slowed down; it stands still on paper and where less motion is asked for.",
        figure,
        pd.concat(tables)[["trace", "neuron", "time_ms", "value"]],
        Playing(panels),
    )
