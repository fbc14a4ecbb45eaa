"""The runtime with one fault built in: ``python faulty_runtime.py FAULT TOKEN``."""

import os
import resource
import sys
import time

import numpy as np
from runtime import server

AT = 5


class UnpicklableError(Exception):
    """An exception that cannot be sent to another process."""

    def __init__(self, a, b):
        super().__init__(a)
        self.b = lambda: b


def raising(error):
    raise error


def install(fault):
    """Change one process model; called after Lava was imported."""
    from runtime.processes import controller, dense, population, source  # noqa: PLC0415 (patched Lava)

    def in_step(model, do):
        original = model.step

        def step(self, t):
            if t == AT:
                do(self)
            original(self, t)

        model.step = step

    def in_init(model, do):
        model.prepare = lambda self, parameters: do(self)

    def in_stop(do):
        from lava.magma.runtime.runtime import Runtime  # noqa: PLC0415 (patched Lava)

        original = Runtime.stop

        def stop(self):
            do(self._messaging_infrastructure)  # before any process is told to end
            original(self)

        Runtime.stop = stop

    def receive_first(self, t):
        self.follow(self.spikes.recv())
        self.out.send(self.control())

    neurons, sender, dense_model = population.PopulationFloat, source.SourceFloat, dense.DenseFloat
    controller_model = controller.ControllerFloat
    faults = {
        "raise in init": lambda: in_init(neurons, lambda self: raising(RuntimeError("broken on purpose"))),
        "raise in step": lambda: in_step(neurons, lambda self: raising(RuntimeError("broken on purpose"))),
        "unpicklable": lambda: in_step(dense_model, lambda self: raising(UnpicklableError(1, 2))),
        "exit in init": lambda: in_init(neurons, lambda self: os._exit(3)),
        "exit in step": lambda: in_step(dense_model, lambda self: os._exit(0)),
        "killed": lambda: in_step(sender, lambda self: os.kill(os.getpid(), 9)),
        "wrong shape": lambda: in_step(sender, lambda self: self.out.send(np.zeros((1, 1)))),
        "deadlock": lambda: setattr(controller_model, "step", receive_first),
        "endless loop": lambda: in_step(neurons, lambda self: [None for _ in iter(int, 1)]),
        "sleeps": lambda: in_step(sender, lambda self: time.sleep(1000)),
        "killed in stop": lambda: in_stop(lambda lava: os.kill(lava.actors[0].pid, 9)),
        "server killed in stop": lambda: in_stop(lambda lava: os.kill(lava.smm._manager._process.pid, 9)),
        "stopped in stop": lambda: in_stop(lambda lava: os.kill(lava.smm._manager._process.pid, 19)),
        "slow": lambda: setattr(sender, "step", slowed(sender.step)),
        "full disk": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
        "no fault": lambda: None,
    }
    faults[fault]()


def slowed(step):
    def run(self, t):
        time.sleep(0.02)
        step(self, t)

    return run


def main(fault, token):
    prepare = server.prepare

    def prepare_and_break(token):
        prepare(token)
        install(fault)

    server.prepare = prepare_and_break
    if fault == "damaged answer":
        write = server.bundle.write

        def damaged(path, header, arrays):
            write(path, header, arrays)
            path.write_bytes(path.read_bytes()[:-100])

        server.prepare, server.bundle.write = prepare, damaged
    return server.main(token)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
