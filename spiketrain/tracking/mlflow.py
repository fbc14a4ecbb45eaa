"""MLflow: a run with the config as parameters and every epoch as metrics, in a store of files."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

from spiketrain.hooks import EpochDone
from spiketrain.tracking.base import Log, Started, Tracker, flat, over_chips

__all__ = ["MLflow"]

FOLDER_TAG = "spiketrain.folder"
"""By which a run that goes on is found again."""

AT_ONCE = 100
LONGEST = 500


@final
@dataclass(frozen=True)
class MLflow(Tracker):
    """A store of files for ``mlflow ui --backend-store-uri``.

    Args:
        folder: the store, ``mlruns`` in the working directory by default.
        experiment: under what name in it runs are gathered.
    """

    folder: str = "mlruns"
    experiment: str = "spiketrain"
    name: ClassVar[str] = "mlflow"
    library: ClassVar[tuple[str, str]] = ("mlflow", "spiketrain[mlflow]")

    def start(self, run: Started) -> Log:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 asks whether files are meant
        from mlflow.tracking import MlflowClient  # noqa: PLC0415 (where it is used)

        client: Any = MlflowClient(tracking_uri=Path(self.folder).resolve().as_uri())
        known = client.get_experiment_by_name(self.experiment)
        group = known.experiment_id if known is not None else client.create_experiment(self.experiment)
        return _Run(client, _begun(client, group, run))


def _begun(client: Any, group: str, run: Started) -> str:
    """Return the identity of a run's entry: the one that it has where it goes on, or else a new one."""
    place = "" if run.folder is None else str(run.folder.resolve()).replace("'", "_")  # it stands in a query
    if run.epoch and place:
        wanted = f"tags.`{FOLDER_TAG}` = '{place}'"
        found = client.search_runs([group], wanted, order_by=["attributes.start_time DESC"], max_results=1)
        if found:
            client.update_run(found[0].info.run_id, status="RUNNING")
            return str(found[0].info.run_id)
    tags = {FOLDER_TAG: place, "mlflow.note.content": run.title}
    made: str = client.create_run(group, run_name=run.name, tags=tags).info.run_id
    for key, value in flat(run.config):
        client.log_param(made, _called(key), value[:LONGEST])
    return made


def _called(name: str) -> str:
    """Return a name in the letters that MLflow takes."""
    return re.sub(r"[^\w\-. /]", "_", name)


@final
class _Run(Log):
    def __init__(self, client: Any, identity: str) -> None:
        self.client, self.identity = client, identity

    def epoch(self, done: EpochDone) -> None:
        from mlflow.entities import Metric  # noqa: PLC0415 (where it is used)

        now = int(1000 * time.time())
        values = [Metric(_called(name), value, now, done.epoch) for name, value in over_chips(done)]
        for start in range(0, len(values), AT_ONCE):
            self.client.log_batch(self.identity, metrics=values[start : start + AT_ONCE])

    def finish(self, summary: Mapping[str, Any]) -> None:
        self.client.log_dict(self.identity, dict(summary), "summary.json")

    def close(self, *, failed: bool) -> None:
        self.client.set_terminated(self.identity, "FAILED" if failed else "FINISHED")
