"""Runs, and has written, NIR files in the programs of others: a script for an environment that has them.

``python nir_programs.py run JOBS`` takes a list of ``{program, file, dt, spikes, out}``, shows the spikes
of a ``.npy``, ``(steps, inputs)``, to a file's network from rest and saves what it emits. A job that fails
saves nothing; its error is printed.

``python nir_programs.py make JOBS`` takes a list of ``{case, folder}``, makes the network of a case of
`MADE` in its own program, writes it by that program's export to ``CASE.nir``, and saves what it was shown
and what it emitted as ``CASE.npz``.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import sys
import traceback

import nir
import numpy as np
import torch


def loaded(program: str, file: str, dt: float) -> torch.nn.Module:
    if program == "norse":
        import norse.torch

        return norse.torch.from_nir(nir.read(file), dt=dt)
    if program == "snntorch":
        from snntorch.import_nir import import_from_nir

        return import_from_nir(nir.read(file))
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    return import_from_nir(file, dt=dt)


def emitted(network: torch.nn.Module, spikes: np.ndarray) -> np.ndarray:
    state, out = None, []
    with torch.no_grad():
        for step in torch.from_numpy(spikes).float():
            one = step.unsqueeze(0)
            found, state = network(one) if state is None else network(one, state)
            out.append(found[0].double().numpy())
    return np.array(out)


def run(jobs: list[dict]) -> None:
    for job in jobs:
        try:
            network = loaded(job["program"], job["file"], job["dt"])
            np.save(job["out"], emitted(network, np.load(job["spikes"])))
        except Exception:
            print("failed:", job["out"], traceback.format_exc(), file=sys.stderr)


def shown(forward, spikes: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.array([forward(step.unsqueeze(0))[0].double().numpy() for step in spikes_of(spikes)])


def spikes_of(spikes: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(spikes).float()


def in_turn(*modules):
    """Return what passes a value through modules that keep their own state."""

    def forward(x):
        for module in modules:
            x = module(x)
            x = x[0] if isinstance(x, tuple) else x
        return x

    return forward


def linear(pre: int, post: int, scale: float = 1.0) -> torch.nn.Linear:
    module = torch.nn.Linear(pre, post)
    module.weight.data *= scale
    return module


def snntorch_made(*modules, shape=(6,)):
    from snntorch.export_nir import export_to_nir

    network = torch.nn.Sequential(*modules)
    graph = export_to_nir(network, torch.zeros(1, *shape), ignore_dims=[0])
    for module in modules:
        if hasattr(module, "reset_mem"):
            module.reset_mem()
    return graph, in_turn(*modules)


def each(value: float, *shape: int) -> torch.Tensor:
    """Return one value for every neuron: snnTorch writes numbers as they are, and NIR takes arrays."""
    return torch.full(shape, value)


def snn_leaky():
    import snntorch as snn

    keys = {"init_hidden": True, "reset_mechanism": "zero"}
    first = snn.Leaky(beta=torch.rand(20) * 0.3 + 0.65, threshold=each(0.8, 20), **keys)
    last = snn.Leaky(beta=each(0.8, 5), threshold=each(1.0, 5), **keys)
    return snntorch_made(linear(6, 20, 3), first, linear(20, 5, 2), last)


def snn_subtract():
    """As snnTorch has it when nothing is said: a spike subtracts the threshold one step later."""
    import snntorch as snn

    first = snn.Leaky(beta=each(0.7, 20), threshold=each(1.0, 20), init_hidden=True)
    last = snn.Leaky(beta=each(0.9, 5), threshold=each(0.7, 5), init_hidden=True)
    return snntorch_made(linear(6, 20, 3), first, linear(20, 5, 2), last)


def snn_synaptic():
    import snntorch as snn

    keys = {"init_hidden": True, "reset_mechanism": "zero"}
    decays = {"alpha": each(0.6, 20), "beta": torch.rand(20) * 0.3 + 0.65}
    keys["reset_delay"] = False  # else the step after a spike is lost, which NIR cannot say
    first = snn.Synaptic(**decays, threshold=each(1.0, 20), **keys)
    last = snn.Synaptic(alpha=each(0.5, 5), beta=each(0.7, 5), threshold=each(1.0, 5), **keys)
    return snntorch_made(linear(6, 20), first, linear(20, 5), last)


def snn_recurrent():
    import snntorch as snn

    keys = {"init_hidden": True, "reset_mechanism": "zero"}
    first = snn.RLeaky(beta=0.8, linear_features=20, reset_delay=False, **keys)
    last = snn.Leaky(beta=each(0.8, 5), threshold=each(1.0, 5), **keys)
    return snntorch_made(linear(6, 20, 3), first, linear(20, 5, 2), last)


def snn_images():
    import snntorch as snn

    keys = {"init_hidden": True, "reset_mechanism": "zero"}
    first = snn.Leaky(beta=each(0.6, 3, 8, 8), threshold=each(0.6, 3, 8, 8), **keys)
    last = snn.Leaky(beta=each(0.8, 5), threshold=each(1.0, 5), **keys)
    pool = torch.nn.AvgPool2d((2, 2), (2, 2))
    after = (pool, torch.nn.Flatten(), linear(48, 5, 3), last)
    return snntorch_made(torch.nn.Conv2d(2, 3, 3, padding=1), first, *after, shape=(2, 8, 8))


def norse_made():
    import norse.torch as norse

    parameters = norse.LIFBoxParameters(
        tau_mem_inv=torch.full((20,), 120.0), v_th=torch.full((20,), 0.4), v_leak=torch.zeros(20)
    )
    read = norse.LIBoxCell(norse.LIBoxParameters(tau_mem_inv=each(60.0, 5), v_leak=torch.zeros(5)))
    modules = (linear(6, 20, 3), norse.LIFBoxCell(parameters), linear(20, 5, 2), read)
    network = norse.SequentialState(*modules)
    graph = norse.to_nir(network, torch.zeros(1, 6))
    kept = {"state": None}

    def forward(x):
        out, kept["state"] = network(x, kept["state"])
        return out

    return graph, forward


def spikingjelly_made(*modules, dt=1e-3):
    from spikingjelly.activation_based import functional
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    network = torch.nn.Sequential(*modules)
    graph = export_to_nir(network, torch.zeros(1, 6), dt=dt)
    functional.reset_net(network)
    return graph, network


def jelly_lif():
    from spikingjelly.activation_based import neuron

    first = neuron.LIFNode(tau=3.0, v_reset=0.0, v_threshold=0.4)
    second = neuron.LIFNode(tau=2.5, decay_input=False, v_reset=0.0)
    return spikingjelly_made(linear(6, 20, 3), first, linear(20, 5, 2), second)


def jelly_if():
    from spikingjelly.activation_based import neuron

    first = neuron.IFNode(v_reset=0.0)
    second = neuron.CUBALIFNode(c_decay=0.5, v_decay=0.7, v_reset=0.0)
    return spikingjelly_made(linear(6, 20, 2), first, linear(20, 5), second)


MADE = {
    "snntorch-leaky": (snn_leaky, (6,)),
    "snntorch-subtract": (snn_subtract, (6,)),
    "snntorch-synaptic": (snn_synaptic, (6,)),
    "snntorch-recurrent": (snn_recurrent, (6,)),
    "snntorch-images": (snn_images, (2, 8, 8)),
    "norse-lif": (norse_made, (6,)),
    "spikingjelly-lif": (jelly_lif, (6,)),
    "spikingjelly-if": (jelly_if, (6,)),
}


def make(jobs: list[dict]) -> None:
    for job in jobs:
        try:
            torch.manual_seed(3)
            build, shape = MADE[job["case"]]
            graph, forward = build()
            spikes = (np.random.default_rng(2).random((150, *shape)) < 0.2).astype(float)
            emitted = shown(forward, spikes)
            nir.write(f"{job['folder']}/{job['case']}.nir", graph)
            np.savez(f"{job['folder']}/{job['case']}.npz", spikes=spikes, emitted=emitted)
        except Exception:
            print("failed:", job["case"], traceback.format_exc(), file=sys.stderr)


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as file:
        globals()[sys.argv[1]](json.load(file))
