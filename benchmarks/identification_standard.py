"""What as many presentations tell about spiking chips: the controller's probe beside two standards.

``OMP_NUM_THREADS=1 python benchmarks/identification_standard.py [presentations ...]`` (by default 400 and
1600; needs ``pip install "spiketrain[identification]"``). Chips 16-24-6 of LIF neurons, with 20 % mismatch of
thresholds and weights, are shown random inputs, every chip as often by each method:

- *controller*: the open-loop probe that DFC's identified feedback learns from (`IdentifiedFeedback`): pairs
  of presentations with currents of opposite random signs into all hidden neurons;
- *least squares on requested activity*: random currents make the hidden neurons do what is wanted; from
  rates the design's f-I curve gives currents, on which thresholds and weights are regressed;
- *sbi*: neural posterior estimation (package ``sbi``; Tejero-Cantero et al. 2020, doi:10.21105/joss.02505).
  The same presentations on simulated chips of other seeds, drawn from the public distributions, teach a
  network the posterior of a threshold, or of a synapse's factor, given what was seen of it: the curve of
  rates over requests, and what least squares says. Its simulations need no chip and are not counted.

What is asked for: the thresholds of hidden neurons; the factors by which output synapses, over the threshold
of their neuron, differ from what was programmed (the stronger half of them: weights near 0 say nothing); and
the gains of hidden neurons, the response of the output to a current into them over the programmed weights,
measured apart with many presentations. Printed are squared correlations with the truth within a chip, as
the mean over chips.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from itertools import pairwise
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.oracle import reveal
from mismatch.spec import MismatchSpec
from rate_bridge.filters import window
from root.seeds import SeedTree
from spiketrain.studies.identify import gain, r2
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import CurrentDrive, Phase, Weights
from spiking.simulators.compiled import CompiledSimulator

SIZES = (16, 24, 6)

STEPS, WINDOW = 250, 200

NETWORK = chain(SIZES, LIF())

CHIPS, OTHERS = 8, 120

PROBE, REQUEST, STEP = 0.3, 0.6, 0.15
"""Currents: of the controller's probe, of requests, and of the steps that measure the true response."""

CURVE = NETWORK.layers[0].neuron.transfer(NETWORK.max_rate_hz, NETWORK.dt_ms)

BINS = 6

EPOCHS = 40
"""Most passes over what a posterior is taught with."""

PAIRS = 4000
"""Synapses of simulated chips that a posterior is taught with."""


def numbers(*name: str | int) -> torch.Generator:
    """Return random numbers of their own for every purpose."""
    return torch.Generator().manual_seed(int(SeedTree(0).child(*name).generator().integers(2**31)))


def asked() -> list[Tensor]:
    """Return the forward weights that all chips are programmed with."""
    g = numbers("weights")
    return [torch.randn(a, b, generator=g).double() / a**0.5 for a, b in pairwise(SIZES)]


def chips_of(count: int, seed: int) -> ChipPopulation:
    """Return programmed chips."""
    spec = MismatchSpec(count, seed, {name: Normal(cv=0.2) for name in ("threshold", "weight")})
    made = ChipPopulation(NETWORK, spec, CompiledSimulator(), SeedTree(1).child("chips"))
    bias = tuple(torch.full((count, n), 1.3).double() for n in SIZES[1:])
    made.program(Weights(tuple(w.expand(count, -1, -1).clone() for w in asked()), bias))
    return made


def show(chips: ChipPopulation, x: Tensor, currents: Tensor, *key: str | int) -> tuple[Tensor, Tensor]:
    """Return hidden and output rates for inputs ``(batch, 16)`` and currents ``(batch, 24)``."""
    phase = Phase("free", CurrentDrive(x), window(STEPS, WINDOW), currents=(currents, None))
    rates = chips.present((phase,), *key)["free"].rates
    return rates[1].double(), rates[2].double()


@dataclass(frozen=True)
class Known:
    """Thresholds and gains, ``(chips, 24)``, and synapses' factors, ``(chips, 24, 6)``; None: no idea."""

    thresholds: Tensor | None
    factors: Tensor
    gains: Tensor


def truth_of(chips: ChipPopulation) -> Known:
    """Return the truth; gains by current steps into one neuron after the other."""
    hardware, w = reveal(chips), asked()[1]
    factors = hardware.weights[1] / hardware.neurons[1]["threshold"].unsqueeze(1) / w
    x = torch.rand(200, SIZES[0], generator=numbers("truth")).double()
    columns = []
    for neuron in range(SIZES[1]):
        step = torch.zeros(200, SIZES[1]).double()
        step[:, neuron] = STEP
        up, down = (show(chips, x, sign * step, "truth", neuron)[1] for sign in (1, -1))
        columns.append((up - down).mean(1) / (2 * STEP))
    return Known(hardware.neurons[0]["threshold"], factors, _gains(torch.stack(columns, dim=-1)))


def _gains(response: Tensor) -> Tensor:
    return gain(response, asked()[1].T.expand_as(response))


def controller(chips: ChipPopulation, presentations: int) -> Known:
    """Return what the probe with currents of random signs tells."""
    g, pairs = numbers("probe"), presentations // 2
    x = torch.rand(pairs, SIZES[0], generator=g).double()
    signs = torch.sign(torch.rand(pairs, SIZES[1], generator=g).double() - 0.5)
    plus, minus = (show(chips, x, s * PROBE * signs, "probe")[1] for s in (1, -1))
    response = torch.einsum("bh,cbo->coh", signs, (plus - minus) / 2) / (PROBE * pairs)
    return Known(None, response.transpose(1, 2) / asked()[1], _gains(response))  # up to one size for all


@dataclass(frozen=True)
class Requested:
    """What random requests show: currents asked for ``(batch, 24)``, rates of hidden and output neurons."""

    currents: Tensor
    hidden: Tensor
    output: Tensor


def request(chips: ChipPopulation, presentations: int) -> Requested:
    """Show random inputs while random currents drive the hidden neurons."""
    g = numbers("request")
    x = torch.rand(presentations, SIZES[0], generator=g).double()
    currents = REQUEST * (2 * torch.rand(presentations, SIZES[1], generator=g).double() - 1)
    return Requested(currents, *show(chips, x, currents, "request"))


def least_squares(seen: Requested) -> Known:
    """Return what is regressed from currents: with the design's curve f, a rate means f⁻¹(r) thresholds."""
    own = _regressed(seen.currents.expand(len(seen.hidden), -1, -1), seen.hidden)
    thresholds = 1 / own.diagonal(dim1=1, dim2=2).clamp(min=0.2)
    factors = _regressed(seen.hidden, seen.output) / asked()[1]
    return Known(thresholds, factors, _implied(seen, thresholds, factors))


def _implied(seen: Requested, thresholds: Tensor, factors: Tensor) -> Tensor:
    """Return the gains that thresholds and factors imply, with the slopes of the design's curve."""
    high, low = (CURVE.slope(CURVE.inverse(r.clamp(min=1e-3))).mean(1) for r in (seen.output, seen.hidden))
    weights = (factors * asked()[1]).transpose(1, 2)
    return _gains(weights * high.unsqueeze(-1) * (low / thresholds).unsqueeze(1))


def _regressed(x: Tensor, rates: Tensor) -> Tensor:
    """Return coefficients of currents on `x`, ``(chips, n_x, n)``; a silent neuron's samples say nothing."""
    currents, there = CURVE.inverse(rates.clamp(min=1e-6)), (rates > 0).double()
    design = torch.cat([x, torch.ones(*x.shape[:2], 1, dtype=torch.float64)], dim=-1)
    left = torch.einsum("cbi,cbn,cbj->cnij", design, there, design)
    right = torch.einsum("cbi,cbn->cni", design, torch.where(there > 0, currents, 0.0))
    ridge = 1e-6 * torch.eye(design.shape[-1], dtype=torch.float64)
    solved: Tensor = torch.linalg.solve(left + ridge, right.unsqueeze(-1)).squeeze(-1)
    return solved[..., :-1].transpose(1, 2)


def features(seen: Requested, found: Known) -> tuple[Tensor, Tensor]:
    """Return what posteriors are given: per neuron ``(chips, 24, k)``, per synapse ``(chips, 24, 6, k)``."""
    assert found.thresholds is not None
    edges = torch.linspace(-REQUEST, REQUEST, BINS + 1).double()
    places = (torch.bucketize(seen.currents, edges) - 1).clamp(0, BINS - 1)
    masks = torch.nn.functional.one_hot(places, BINS).double()
    curve = torch.einsum("cbn,bnk->cnk", seen.hidden, masks) / masks.sum(0).clamp(min=1)
    w = asked()[1].expand_as(found.factors)
    silent, level = ((seen.output == 0).double().mean(1), seen.output.mean(1))
    row = (found.factors * w * w).sum(1) / w.square().sum(1)  # one for all synapses of an output neuron
    shared = [value.unsqueeze(1).expand_as(w) for value in (silent, level, row)]
    synapses = torch.stack([found.factors.clamp(-3, 5), w, w.abs().log(), *shared], dim=-1)
    return torch.cat([curve, found.thresholds.unsqueeze(-1)], dim=-1), synapses


def posterior_means(theta: Tensor, x: Tensor, observed: Tensor) -> Tensor:
    """Return the means of posteriors that pairs of `theta` ``(n, 1)`` and `x` ``(n, k)`` teach."""
    from sbi.inference import NPE  # noqa: PLC0415 (an extra)

    torch.manual_seed(0)
    with TemporaryDirectory() as folder, chdir(folder):  # it leaves logs where it is
        teacher: Any = NPE(density_estimator="mdn", show_progress_bars=False)
        estimator = teacher.append_simulations(theta.float(), x.float()).train(
            training_batch_size=400, max_num_epochs=EPOCHS
        )
    with torch.no_grad():
        drawn: Tensor = estimator.sample((200,), condition=observed.float())
    return drawn.mean(0).squeeze(-1).double()


def inference(chips: ChipPopulation, presentations: int) -> Known:
    """Return posterior means, taught by other chips that were shown the same."""
    others = chips_of(OTHERS, 1000)
    hardware, shown, mine = reveal(others), request(others, presentations), request(chips, presentations)
    taught, given = features(shown, least_squares(shown)), features(mine, least_squares(mine))
    theta = hardware.neurons[0]["threshold"].reshape(-1, 1)
    flat = posterior_means(theta, taught[0].flatten(0, 1), given[0].flatten(0, 1))
    thresholds = flat.reshape(chips.chips, SIZES[1])
    true = hardware.weights[1] / hardware.neurons[1]["threshold"].unsqueeze(1) / asked()[1]
    few = torch.randperm(true.numel(), generator=numbers("few"))[:PAIRS]
    theta, x = true.reshape(-1, 1)[few], taught[1].flatten(0, 2)[few]
    factors = posterior_means(theta, x, given[1].flatten(0, 2)).reshape(chips.chips, *SIZES[1:])
    return Known(thresholds, factors, _implied(mine, thresholds, factors))


METHODS: dict[str, Callable[[ChipPopulation, int], Known]] = {
    "controller": controller,
    "least squares": lambda chips, presentations: least_squares(request(chips, presentations)),
    "sbi": inference,
}


def main() -> None:
    """Print a line per method and number of presentations."""
    chips = chips_of(CHIPS, 31)
    true, weights = truth_of(chips), asked()[1].abs()
    strong = weights > weights.quantile(0.5)
    print(f"{CHIPS} chips; squared correlation with the truth, mean over chips")
    print(f"{'presentations':>13}  {'method':<13} thresholds  synapses     gains   seconds")
    for presentations in [int(word) for word in sys.argv[1:]] or [400, 1600]:
        for name, method in METHODS.items():
            began, cells = time.perf_counter(), []
            found = method(chips, presentations)
            for key, wanted in vars(true).items():
                one, other = getattr(found, key), wanted
                if key == "factors":
                    one, other = one[:, strong], other[:, strong]
                cells.append(
                    "–" if one is None else f"{float(r2(one.flatten(1), other.flatten(1)).mean()):.3f}"
                )
            row = "".join(f"{cell:>10}" for cell in [*cells, f"{time.perf_counter() - began:.1f}"])
            print(f"{presentations:>13}  {name:<13}{row}", flush=True)


if __name__ == "__main__":
    main()
