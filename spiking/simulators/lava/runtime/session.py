"""One compiled Lava network under supervision: it runs, or it fails with a message, within a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from numpy.typing import NDArray

__all__ = ["Session"]

REPORT_S = 0.5
"""How often progress is told."""


class Session:
    """A compiled network; its processes live until `stop`.

    What may hang (compiling, running, stopping) is watched by `supervisor.Supervisor` from a thread.

    Args:
        root: any process of the connected network.
        progress: per process, the steps it has finished since it was made (-1 before), in shared memory.
        arithmetic: tag of the process models: ``floating_pt`` or ``fixed_pt``.
    """

    def __init__(self, root: Any, progress: NDArray[Any], arithmetic: str) -> None:
        self.root, self.progress = root, progress
        self.config = Loihi2SimCfg(select_tag=arithmetic)
        self.root.create_runtime(run_cfg=self.config)
        self.steps = 0

    def run(self, steps: int, report: Callable[[int], None]) -> None:
        """Run `steps` steps and tell `report` now and then how many are done."""
        first, self.steps = self.steps, self.steps + steps
        self.root.run(condition=RunSteps(steps, blocking=False), run_cfg=self.config)
        pause, next_report = 2e-5, time.monotonic() + REPORT_S
        while not all(port.probe() for port in self.root.runtime.service_to_runtime):
            time.sleep(pause)
            pause = min(pause * 1.5, 2e-3)
            if time.monotonic() > next_report:
                report(int(self.progress.min()) - first)
                next_report = time.monotonic() + REPORT_S
        self.root.wait()

    def stop(self) -> None:
        """End all processes of the network."""
        self.root.stop()
