"""Where cells are computed: Dask workers here, on a running cluster, or on one made by SLURM."""

from __future__ import annotations

import contextlib
import itertools
import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, final

from root.errors import InputError, SimulationError
from spiketrain.allocator import kept_from_the_start
from spiketrain.record.scratch import scratch
from spiketrain.studies import hush

__all__ = ["DaskEngine", "Engine", "InProcess"]

Result = TypeVar("Result")

LOOPBACK = "127.0.0.1"

THREADS = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
"""One thread per worker: as many cells as cores beat one cell on all of them."""

SETTINGS = {
    "distributed.scheduler.worker-saturation": 1.0,  # a lost worker takes one cell with it, not two
    "distributed.scheduler.allowed-failures": 3,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.pause": False,
    "distributed.comm.timeouts.connect": "30s",
    "distributed.diagnostics.computations.nframes": 0,  # source code is not kept with every cell
    "distributed.worker.profile.enabled": False,
    "distributed.scheduler.http.routes": [],  # no pages; and what serves them is closed
    "distributed.worker.http.routes": [],
}

TRANSPORT = "distributed.comm.tls"
"""Dask's own settings of certificates."""

AHEAD = 64
"""Cells that are handed over beyond those that can be computed at once; new ones come in halves of it."""


class Engine(ABC):
    """Runs functions somewhere; a context manager."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of what computes."""

    @abstractmethod
    def map(
        self, function: Callable[..., Result], tasks: Iterable[tuple[str, tuple[Any, ...]]]
    ) -> Iterator[tuple[str, Result | Exception]]:
        """Call `function` with the arguments of every task, in any order; yield names and results.

        Args:
            function: importable by name.
            tasks: names, each once, and arguments.

        Yields:
            a name with what came back, or with the exception that ended the task.
        """


@final
class InProcess(Engine):
    """Runs one function after the other, here."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def map(
        self, function: Callable[..., Result], tasks: Iterable[tuple[str, tuple[Any, ...]]]
    ) -> Iterator[tuple[str, Result | Exception]]:
        for name, arguments in tasks:
            try:
                found: Result | Exception = function(*arguments)
            except Exception as error:
                found = error
            yield name, found


@final
class DaskEngine(Engine):
    """Runs functions in worker processes; a context manager.

    What is made here listens on the loopback interface alone; on SLURM the scheduler must be reached by the
    jobs, and listens where dask-jobqueue's ``interface`` says. Whoever may talk to a worker may run Python on
    it, so all of it talks TLS, with a key that is made for this cluster and known to its processes alone. A
    running scheduler has keys of its own, which Dask's settings name (``distributed.comm.tls``).

    Args:
        scheduler: address of a running scheduler, such as ``tls://127.0.0.1:8786``.
        cluster: ``local``, or ``slurm`` through dask-jobqueue, which reads its own configuration.
        workers: number of worker processes; by default one per core here, one job on SLURM.
        folder: where SLURM's jobs find their keys: on a disk that they see, for this user alone.

    Raises:
        InputError: a library is missing, or the scheduler does not answer.
    """

    def __init__(
        self,
        *,
        scheduler: str | None = None,
        cluster: str = "local",
        workers: int | None = None,
        folder: Path | None = None,
    ) -> None:
        if scheduler is not None and (workers is not None or cluster != "local"):
            given = f"--workers {workers}" if workers is not None else f"--cluster {cluster}"
            raise InputError("--scheduler", scheduler, f"a running cluster alone, without {given}")
        if cluster not in ("local", "slurm"):
            raise InputError("--cluster", cluster, "local, slurm")
        self._stack = contextlib.ExitStack()
        try:
            import dask  # noqa: PLC0415 (only a study needs it)
            import distributed  # noqa: PLC0415
        except ImportError as error:
            raise InputError("studies", "no dask.distributed", "pip install 'spiketrain[studies]'") from error
        dd: Any = distributed
        self._dask = dd
        with contextlib.ExitStack() as stack:
            started = {**THREADS, **kept_from_the_start()}
            stack.enter_context(dask.config.set({**SETTINGS, "distributed.nanny.pre-spawn-environ": started}))
            if scheduler is not None:
                self._client = self._connect(scheduler)
            else:
                made = self._slurm(workers, folder) if cluster == "slurm" else self._local(workers, stack)
                stack.callback(_forget_keys, made)
                stack.enter_context(contextlib.closing(made))
                made.sync(hush.close_http, made.scheduler)
                self._client = dd.Client(made, set_as_default=False)
            stack.callback(self._client.close)
            self._stack = stack.pop_all()

    def _connect(self, address: str) -> Any:
        try:
            return self._dask.Client(address, timeout="10s", set_as_default=False)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            fix = f"Start one with: dask scheduler --host {LOOPBACK} ... (docs/studies.md). ({error})"
            keys = f"; with tls://, Dask's settings {TRANSPORT} name its keys"
            allowed = f"the address of a running Dask scheduler{keys if address.startswith('tls') else ''}"
            raise InputError("--scheduler", address, allowed, fix) from None

    def _security(self) -> Any:
        try:
            return self._dask.Security.temporary()
        except ImportError as error:
            fix = "pip install 'spiketrain[studies]'"
            raise InputError("studies", "no cryptography", "TLS between workers", fix) from error

    def _local(self, workers: int | None, stack: contextlib.ExitStack) -> Any:
        return self._dask.LocalCluster(
            n_workers=workers or cores(),
            threads_per_worker=1,
            processes=True,
            host=LOOPBACK,
            protocol="tls://",
            security=self._security(),
            dashboard_address=f"{LOOPBACK}:0",  # it is started anyway, and closed at once
            worker_dashboard_address=f"{LOOPBACK}:0",
            preload=[hush.__name__],
            memory_limit=0,
            local_directory=stack.enter_context(scratch()),
            silence_logs="CRITICAL",
        )

    def _slurm(self, workers: int | None, folder: Path | None) -> Any:
        try:
            from dask_jobqueue import SLURMCluster  # noqa: PLC0415 (only on such a machine)
        except ImportError as error:
            fix = "pip install 'spiketrain[slurm]'"
            raise InputError("--cluster", "slurm", "a cluster, through dask-jobqueue", fix) from error
        import dask  # noqa: PLC0415

        own = dask.config.get("jobqueue.slurm", {})  # what the user's jobqueue.yaml says stays
        said = {**THREADS, "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "'[]'"}
        exports = [f"export {name}={value}" for name, value in said.items()]
        exports += [f"export {name}=${{{name}-{value}}}" for name, value in kept_from_the_start().items()]
        quiet = ["--no-dashboard", "--dashboard-address", f"{LOOPBACK}:0", "--preload", hush.__name__]
        try:
            cluster = SLURMCluster(
                protocol="tls://",
                security=self._security(),
                shared_temp_directory=own.get("shared-temp-directory") or folder,
                worker_extra_args=[*(own.get("worker-extra-args") or []), *quiet],
                job_script_prologue=[*(own.get("job-script-prologue") or []), *exports],
                scheduler_options={
                    "dashboard_address": f"{LOOPBACK}:0",
                    **(own.get("scheduler-options") or {}),
                },
            )
        except ValueError as error:
            fix = "Name cores, memory and queue in ~/.config/dask/jobqueue.yaml."
            raise InputError("--cluster", "slurm", f"what dask-jobqueue needs ({error})", fix) from None
        cluster.scale(jobs=workers or 1)
        return cluster

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def workers(self) -> int:
        """Number of worker threads there are now, at least 1."""
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    def map(
        self, function: Callable[..., Result], tasks: Iterable[tuple[str, tuple[Any, ...]]]
    ) -> Iterator[tuple[str, Result | Exception]]:
        """Call `function` with the arguments of every task, in any order; yield names and results.

        Tasks are taken from the iterable as workers come free, so there may be any number of them. A task
        whose worker is lost is given to another one, three times.

        Args:
            function: importable by name on the workers.
            tasks: names, each once, and arguments.

        Yields:
            a name with what came back, or with the exception that ended the task.

        Raises:
            SimulationError: the scheduler is lost.
        """
        run = uuid.uuid4().hex[:8]  # the scheduler of a running cluster may still know an earlier run
        waiting = iter(tasks)
        names: dict[str, str] = {}

        def submit(count: int) -> list[Any]:
            """Hand over up to `count` tasks at once, which costs little more than one."""
            batch = list(itertools.islice(waiting, count))
            keys = [f"{name}-{run}" for name, _ in batch]
            names.update(zip(keys, (name for name, _ in batch), strict=True))
            arguments = zip(*(arguments for _, arguments in batch), strict=True)
            futures: list[Any] = self._client.map(function, *arguments, key=keys, pure=False) if batch else []
            return futures

        window = AHEAD + self.workers
        running = self._dask.as_completed(
            submit(window), loop=self._client.loop, with_results=True, raise_errors=False
        )
        free = 0
        try:
            for batch in running.batches():
                free += len(batch)
                if free >= AHEAD // 2:
                    running.update(submit(free))
                    free = 0
                for future, result in batch:
                    if future.status in ("cancelled", "lost"):
                        raise SimulationError("the Dask scheduler is lost; go on with --resume")
                    found = result if future.status == "finished" else result[1]
                    yield names.pop(future.key), found
        finally:
            with contextlib.suppress(Exception):  # the cluster may be what went wrong
                self._client.cancel(list(running.futures), force=True)


def _forget_keys(cluster: Any) -> None:
    """Remove the files with the keys of SLURM's jobs now, not when the cluster is collected as garbage."""
    for name, value in vars(cluster).items():
        if name.startswith("_job_") and hasattr(value, "close"):
            value.close()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
