"""Figures of one sample on one chip: spikes, output, control signal, rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from spiketrain.record.samples import Samples
from spiketrain.report.drawing import Drawing, Omitted
from spiketrain.report.run_files import RunFiles
from spiketrain.report.style import GRID, MUTED, blank, colour

__all__ = [
    "control",
    "draw_events",
    "draw_outputs",
    "draw_target",
    "events",
    "outputs",
    "raster",
    "rate_histogram",
    "tidy",
]

FEW = 4
"""Up to so many outputs have a colour each; of more, only the wanted one has."""

CONTROL_HEIGHT = 1.6
"""Of the control signal below a raster, in units of a layer of few neurons."""

NO_SAMPLE = "No sample was recorded step by step."


def raster(run: RunFiles) -> Drawing | Omitted:
    """Spikes (or activities) of all layers, a column per phase, above what controls them where it does."""
    title = "One sample, neuron by neuron"
    samples = run.samples
    phases = _with(samples, "spikes")
    if samples is None or not phases:
        return Omitted(title, NO_SAMPLE)
    layers = _layers(run, samples, phases[0])
    heights = [1.0 + min(t.shape[1], 200) / 40 for _, t in layers]
    controlled = _with(samples, "control")
    below = [CONTROL_HEIGHT] if controlled else []
    figure, axes = blank(
        len(layers) + len(below),
        len(phases),
        0.8 + 0.75 * sum([*heights, *below]),
        sharex=True,
        sharey="row",
        height_ratios=[*heights[::-1], *below],
    )
    data, counts = [], []
    for column, phase in enumerate(phases):
        for index, (name, trace) in enumerate(_layers(run, samples, phase)):
            ax = axes[len(layers) - 1 - index][column]
            data.append(events(trace, samples.dt_ms).assign(phase=phase, layer=name))
            counts.append(f"{phase} {name}: {_amount(trace)}")
            draw_events(ax, trace, samples.dt_ms, run.layers.index(name))
            if column == 0:
                ax.set_ylabel(f"{name}\nneuron")
        axes[0][column].set_title(f"{phase} phase")
        if controlled:
            data += _draw_signal(axes[-1][column], samples, phase)
        axes[-1][column].set_xlabel("time (ms)")
    if controlled:
        axes[-1][0].set_ylabel("control u\n(1 = max.)")
    spiking = all(_is_spiking(t) for _, t in layers)
    caption = "Every mark is a spike." if spiking else "Spikes as marks, activities as shades."
    if controlled:
        caption += " Below: the control signal u(t), a line per output; in colour that of the wanted one."
    return Drawing(
        "raster",
        title,
        f"Activity of chip {samples.chip} for one sample; {'; '.join(counts)}.",
        f"{caption} Chip {samples.chip}, the same sample in every phase.",
        figure,
        pd.concat(data)[["phase", "layer", "neuron", "time_ms", "value"]],
    )


def _draw_signal(ax: Axes, samples: Samples, phase: str) -> list[pd.DataFrame]:
    """Draw the control signal of a phase, 0 where there is no controller, and return its rows."""
    steps, signal = len(samples.traces[phase]["spikes"][0]), samples.traces[phase].get("control")
    ax.axhline(0.0, color=MUTED, linewidth=0.8)
    ax.set_xlim(0.0, steps * samples.dt_ms)
    if not signal:
        return []
    draw_outputs(ax, signal[0], samples, None)
    rows = tidy(samples, [phase], "control", 1.0, "value")
    return [rows.rename(columns={"output": "neuron"}).assign(layer="control")]


def _layers(run: RunFiles, samples: Samples, phase: str) -> list[tuple[str, Tensor]]:
    """Return names and activities of the layers, the input first where its spikes were kept."""
    traces = samples.traces[phase]
    given = list(traces.get("input", ()))
    names = run.layers if given else run.layers[1:]
    return list(zip(names, [*given, *traces["spikes"]], strict=True))


def outputs(run: RunFiles) -> Drawing | Omitted:
    """The read-out trace and its targets."""
    title = "Output traces and targets"
    samples = run.samples
    phases = _with(samples, "readout")
    if samples is None or not phases:
        return Omitted(title, NO_SAMPLE)
    scale = samples.max_rate_hz
    targets = samples.target * scale
    figure, axes = blank(1, len(phases), 3.2, sharey=True)
    ends = []
    for ax, phase in zip(axes[0], phases, strict=True):
        trace = samples.traces[phase]["readout"][0] * scale
        moving = samples.traces[phase].get("target")
        draw_outputs(ax, trace, samples, targets if moving is None else None)
        if moving is not None:
            draw_target(ax, moving[0] * scale, samples.dt_ms)
        ax.set_title(f"{phase} phase")
        wanted = int(targets.argmax())
        mean = _draw_window(ax, trace, samples, phase)
        ends.append(
            f"{phase}: output {wanted} is at {mean:.3g} Hz in the mean over the window "
            f"(target {targets[wanted]:.3g} Hz)"
        )
    axes[0][0].set_ylabel("read-out trace (Hz)")
    axes[0][-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return Drawing(
        "outputs",
        title,
        f"Read-out traces of chip {samples.chip} for one sample. {'; '.join(ends)}.",
        "Solid: the low-pass filtered output rates; dashed: their targets; dotted, over the shaded averaging "
        "window: the mean of the wanted output.",
        figure,
        tidy(samples, phases, "readout", scale, "rate_hz").assign(
            target_hz=lambda table: targets.numpy()[table["output"]]
        ),
    )


def control(run: RunFiles) -> Drawing | Omitted:
    """The control signal u(t)."""
    title = "Control signal u(t)"
    samples = run.samples
    phases = _with(samples, "control")
    if samples is None or not phases:
        return Omitted(title, "This rule uses no controller, so there is no control signal u(t) to show.")
    figure, axes = blank(1, len(phases), 3.0, sharey=True)
    for ax, phase in zip(axes[0], phases, strict=True):
        draw_outputs(ax, samples.traces[phase]["control"][0], samples, None)
        ax.axhline(0.0, color=MUTED, linewidth=0.8)
        ax.set_title(f"{phase} phase")
    axes[0][0].set_ylabel("u (1 = maximal rate)")
    axes[0][-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    largest = max(float(samples.traces[phase]["control"][0].abs().max()) for phase in phases)
    return Drawing(
        "control",
        title,
        f"Control signal of chip {samples.chip} for one sample; its largest absolute value is {largest:.3g}.",
        "What the controller adds to push each output to its target.",
        figure,
        tidy(samples, phases, "control", 1.0, "u"),
    )


def rate_histogram(run: RunFiles) -> Drawing | Omitted:
    """How rates are distributed over the neurons of each layer."""
    title = "Rates of the neurons"
    samples = run.samples
    phases = _with(samples, "spikes")
    if samples is None or not phases:
        return Omitted(title, NO_SAMPLE)
    layers = len(samples.traces[phases[0]]["spikes"])
    figure, axes = blank(1, layers, 3.0)
    data, silent = [], []
    for index, ax in enumerate(axes[0]):
        rates = {phase: _rates(samples.traces[phase]["spikes"][index], samples) for phase in phases}
        edges = np.histogram_bin_edges(np.concatenate(list(rates.values())), bins=20)
        for place, (phase, values) in enumerate(rates.items()):
            ax.hist(values, bins=edges.tolist(), histtype="stepfilled", alpha=0.25, color=colour(place))
            ax.hist(
                values, bins=edges.tolist(), histtype="step", color=colour(place), linewidth=1.5, label=phase
            )
            name = run.layers[index + 1]
            data.append(pd.DataFrame({"phase": phase, "layer": name, "rate_hz": values}))
            silent.append(f"{phase} {name}: {_distribution(values)}")
        ax.set_title(run.layers[index + 1])
        ax.set_xlabel("mean rate (Hz)")
        ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes[0][0].set_ylabel("number of neurons")
    axes[0][-1].legend(title="phase")
    return Drawing(
        "rate_histogram",
        title,
        f"Histograms of the neurons' rates over one presentation; {'; '.join(silent)}.",
        f"Mean over the whole presentation of the sample shown above, on chip {samples.chip}.",
        figure,
        pd.concat(data),
    )


def _with(samples: Samples | None, trace: str) -> list[str]:
    """Return the phases that have a trace of this name."""
    return [] if samples is None else [phase for phase, traces in samples.traces.items() if traces.get(trace)]


def _is_spiking(trace: Tensor) -> bool:
    return bool(((trace == 0) | (trace == 1)).all())


def _amount(trace: Tensor) -> str:
    return f"{int(trace.sum())} spikes" if _is_spiking(trace) else f"mean activity {float(trace.mean()):.3g}"


def events(trace: Tensor, dt_ms: float) -> pd.DataFrame:
    """Return a row for every spike, or activity that is not 0."""
    steps, neurons = trace.nonzero(as_tuple=True)
    values = trace[steps, neurons].to(torch.float64)
    return pd.DataFrame(
        {"neuron": neurons.numpy(), "time_ms": steps.numpy() * dt_ms, "value": values.numpy()}
    )


def draw_events(ax: Axes, trace: Tensor, dt_ms: float, layer: int, most: int = 20_000) -> None:
    """Draw the spikes of a layer, or its activities as shades.

    Args:
        ax: where.
        trace: ``(time, n)``.
        dt_ms: time step.
        layer: which; says the colour.
        most: more marks than that are a picture of points.
    """
    size = trace.shape[1]
    ax.grid(False)
    if _is_spiking(trace):
        seen = events(trace, dt_ms)
        # One path with gaps instead of a mark per spike: a tenth of the file.
        half = max(0.4, size / 250)
        x = np.repeat(seen["time_ms"].to_numpy(float), 3)
        y = np.repeat(seen["neuron"].to_numpy(float), 3) + np.tile([-half, half, np.nan], len(seen))
        ax.plot(x, y, color=colour(layer), linewidth=1.1, rasterized=len(seen) > most)
    else:
        extent = (0.0, trace.shape[0] * dt_ms, -0.5, size - 0.5)
        ax.imshow(trace.T.numpy(), aspect="auto", origin="lower", extent=extent, cmap="viridis")
    ax.set_ylim(-0.5 - size / 50, size - 0.5 + size / 50)
    ax.set_xlim(0.0, trace.shape[0] * dt_ms)
    ax.set_yticks([0, size - 1] if size > 1 else [0])


def draw_outputs(ax: Axes, trace: Tensor, samples: Samples, targets: Tensor | None) -> None:
    """Draw a line for every output, ``(time, n_out)``, and dashed ones for targets that stand still."""
    time = np.arange(1, trace.shape[0] + 1) * samples.dt_ms
    wanted, count = int(samples.target.argmax()), trace.shape[1]
    drawn = set()
    for index in sorted(range(count), key=lambda output: output == wanted):
        if count <= FEW:
            style: dict[str, Any] = {"color": colour(index), "label": f"output {index}"}
        elif index == wanted:
            style = {"color": colour(1), "label": f"output {index} (wanted)", "linewidth": 2.2}
        else:
            first = index == (0 if wanted else 1)
            style = {
                "color": MUTED,
                "linewidth": 1.0,
                "alpha": 0.8,
                "label": "other outputs" if first else None,
            }
        ax.plot(time, trace[:, index].numpy(), **style)
        if targets is not None and (key := (float(targets[index]), style["color"])) not in drawn:
            drawn.add(key)
            ax.axhline(float(targets[index]), color=style["color"], linestyle=(0, (5, 3)), linewidth=1.2)
    ax.set_xlim(0.0, float(time[-1]))
    ax.set_xlabel("time (ms)")


def _draw_window(ax: Axes, trace: Tensor, samples: Samples, phase: str) -> float:
    """Shade the averaging window, draw the wanted output's mean over it, and return that mean."""
    weights = samples.window(phase)
    wanted, inside = int(samples.target.argmax()), weights.nonzero().flatten()
    mean = float((weights * trace[:, wanted].to(weights)).sum() / weights.sum())
    begin, end = float(inside[0]) * samples.dt_ms, float(inside[-1] + 1) * samples.dt_ms
    ax.axvspan(begin, end, color=GRID, alpha=0.5, linewidth=0, zorder=0)
    ink = colour(wanted if trace.shape[1] <= FEW else 1)
    ax.plot([begin, end], [mean, mean], color=ink, linestyle=":", linewidth=2.2)
    return mean


def draw_target(ax: Axes, target: Tensor, dt_ms: float) -> None:
    """Draw what is wanted from window to window; nothing where nothing is."""
    time = np.arange(1, len(target) + 1) * dt_ms
    for index in range(target.shape[1]):
        few = target.shape[1] <= FEW
        style: dict[str, Any] = {"color": colour(index) if few else MUTED, "linestyle": (0, (5, 3))}
        ax.plot(time, target[:, index].numpy(), linewidth=1.2, **style)


def _rates(trace: Tensor, samples: Samples) -> NDArray[np.float64]:
    """Return mean rates in Hz of the neurons that have one; an activity of 1 is the maximal rate."""
    unit = 1000.0 / samples.dt_ms if _is_spiking(trace) else samples.max_rate_hz
    rates = trace.to(torch.float64).mean(0) * unit
    return np.asarray(rates[rates.isfinite()].numpy())


def _distribution(rates: NDArray[np.float64]) -> str:
    if not rates.size:
        return "no finite rate"
    return f"median {np.median(rates):.3g} Hz, {(rates == 0).mean():.0%} silent"


def tidy(samples: Samples, phases: list[str], trace: str, scale: float, name: str) -> pd.DataFrame:
    """Return a row for every phase, output and step of a trace, times `scale`, in the column `name`."""
    tables = []
    for phase in phases:
        values = samples.traces[phase][trace][0].to(torch.float64).numpy() * scale
        steps, count = values.shape
        time = np.repeat(np.arange(1, steps + 1) * samples.dt_ms, count)
        output = np.tile(np.arange(count), steps)
        tables.append(pd.DataFrame({"phase": phase, "output": output, "time_ms": time, name: values.ravel()}))
    return pd.concat(tables)
