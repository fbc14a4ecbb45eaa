"""A board that does not exist, with the habits of those that do.

One sample at a time, events only, synapses of 6 bits with noise in every write, no reset of its state, a
dead neuron, and 5 ms until an answer comes. Neurons are LIF with 20 % mismatch; numbers are its own, drawn
once.
"""

import time

import numpy as np

BITS, NOISE, LATENCY_S = 6, 0.3, 0.005
DT, TAU_M, TAU_SYN, RATE_HZ = 1.0, 20.0, 10.0, 100.0
DEAD = 3


class FakeBoard:
    def __init__(self, sizes, latency_s=LATENCY_S, seed=5):
        self.random, self.latency_s = np.random.default_rng(seed), latency_s
        self.sizes = tuple(sizes)
        layers = self.sizes[1:]
        pairs = list(zip(self.sizes[:-1], self.sizes[1:], strict=True))
        self.threshold = [1 + 0.2 * self.random.standard_normal(n).clip(-3, 3) for n in layers]
        self.decay = [
            np.exp(-DT / (TAU_M * (1 + 0.2 * self.random.standard_normal(n).clip(-3, 3)))) for n in layers
        ]
        self.factor = [1 + 0.2 * self.random.standard_normal(pair).clip(-3, 3) for pair in pairs]
        self.threshold[0][DEAD] = np.inf
        self.weights = [np.zeros(pair) for pair in pairs]
        self.currents = [np.zeros(n) for n in layers]
        self.v, self.synapse = [np.zeros(n) for n in layers], [np.zeros(n) for n in layers]
        self.fired = [np.zeros(n, bool) for n in layers]
        self.shown = 0

    def load(self, connection, codes, unit):
        assert codes.dtype == np.int8
        assert np.abs(codes).max() < 2 ** (BITS - 1)
        noisy = codes + NOISE * self.random.standard_normal(codes.shape)
        self.weights[connection] = noisy * unit * self.factor[connection]

    def bias(self, layer, currents):
        self.currents[layer - 1] = currents.copy()

    def run(self, events, steps):
        time.sleep(self.latency_s)
        self.shown += 1
        raster = np.zeros((steps, self.sizes[0]))
        for step, source in events:
            raster[step, source] = 1.0
        kept = np.exp(-DT / TAU_SYN)
        gain, answer = (1 - kept) * 1000.0 / (RATE_HZ * DT), []
        drive = raster @ self.weights[0] * gain
        for step in range(steps):
            arrived = [
                drive[step],
                *(f @ w * gain for f, w in zip(self.fired, self.weights[1:], strict=False)),
            ]
            for layer in range(len(self.v)):
                target = self.synapse[layer] + self.currents[layer]
                v = target + (self.v[layer] - target) * self.decay[layer]
                self.fired[layer] = v > self.threshold[layer]
                self.v[layer] = np.where(self.fired[layer], 0.0, v)
                self.synapse[layer] = kept * self.synapse[layer] + arrived[layer]
                answer += [(step, layer + 1, int(n)) for n in self.fired[layer].nonzero()[0]]
        return answer


def open_board(sizes):
    return FakeBoard(sizes)
