"""The steps of LIF and Rate as they were first written, by hand: an independent truth for what is printed."""

import torch

from rate_bridge.filters import decay, steps
from spiking.neurons.activations import activation


def lif_constants(values, dt_ms):
    held = steps(values["refractory_ms"], dt_ms)
    constants = {
        "decay": decay(values["tau_m_ms"], dt_ms),
        "threshold": values["threshold"],
        "reset": values["reset"],
    }
    if bool((held > 0).any()):
        constants["refractory_steps"] = held.to(values["threshold"].dtype)
    return {name: value.unsqueeze(1) for name, value in constants.items()}


def lif_start(values, uniform):
    reset, threshold = values["reset"].unsqueeze(1), values["threshold"].unsqueeze(1)
    return {"v": reset + uniform * (threshold - reset), "refractory": torch.zeros_like(uniform)}


def lif_step(state, current, constants):
    v = state["v"]
    v.sub_(current).mul_(constants["decay"]).add_(current)
    held = constants.get("refractory_steps")
    if held is not None:
        torch.where(state["refractory"] > 0, constants["reset"], v, out=v)
    spikes = v > constants["threshold"]
    torch.where(spikes, constants["reset"], v, out=v)
    if held is not None:
        waiting = state["refractory"].sub_(1).clamp_(min=0)
        torch.where(spikes, held, waiting, out=waiting)
    return spikes.to(v.dtype)


def rate_constants(neuron, values, dt_ms):
    limit = activation(neuron.activation).saturation
    usual = {"gain": 1.0, "offset": 0.0, "saturation": limit, "shape": 1.0}
    kept = {k: values[k] for k, usual in usual.items() if k in values and bool((values[k] != usual).any())}
    kept["decay"] = decay(values["tau_ms"], dt_ms)
    return {name: value.unsqueeze(1) for name, value in kept.items()}


def rate_step(neuron, state, current, constants):
    v = state["v"]
    v.sub_(current).mul_(constants["decay"]).add_(current)
    x = v - constants["offset"] if "offset" in constants else v
    phi, limit = activation(neuron.activation), constants.get("saturation")
    if "shape" in constants:
        x = phi.bent(x, limit, constants["shape"])
    activity = phi.value(x, limit)
    return activity * constants["gain"] if "gain" in constants else activity
