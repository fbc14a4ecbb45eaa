"""Train spiking and rate networks on mismatched chips.

::

    import spiketrain as st

    exp = st.load("readout_lif", {"simulator.name": "compiled", "training.epochs": 1})
    run = exp.fit(x, y, test=(x_test, y_test))      # numpy or torch; in memory, or folder="runs/mine"
    run.history, run.accuracy, run.predict(x_test)  # a DataFrame; per chip; chip × sample
    run.plot(), run.save("runs/mine"), st.open("runs/mine")

Everything here is loaded when it is first used: the import itself takes no time.
"""

from __future__ import annotations

import os.path
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what type checkers and editors read; what runs is `__getattr__`
    from learning.backprop import Backprop as Backprop
    from learning.direct_feedback_alignment import DirectFeedbackAlignment as DirectFeedbackAlignment
    from learning.feedback_alignment import FeedbackAlignment as FeedbackAlignment
    from learning.feedback_control.dfc import DeepFeedbackControl as DeepFeedbackControl
    from learning.feedback_control.feedback_weights import RandomFeedback as RandomFeedback
    from learning.feedback_control.feedback_weights import WeightProduct as WeightProduct
    from learning.feedback_control.gains import ControllerGains as ControllerGains
    from learning.feedback_control.identified import IdentifiedFeedback as IdentifiedFeedback
    from learning.feedback_control.prediction import Basal as Basal
    from learning.feedback_control.prediction import TwoPhase as TwoPhase
    from learning.model import Model as Model
    from learning.nlms import CentredNLMS as CentredNLMS
    from learning.optimizers import SGD as SGD
    from learning.optimizers import Adam as Adam
    from learning.optimizers import Optimizer as Optimizer
    from learning.readout_only import ReadoutOnly as ReadoutOnly
    from learning.rule import LearningRule as LearningRule
    from learning.rule import Outer as Outer
    from learning.rule import Update as Update
    from learning.sign_symmetry import SignSymmetry as SignSymmetry
    from learning.stimulus import Batch as Batch
    from mismatch.distributions import Lognormal as Lognormal
    from mismatch.distributions import Normal as Normal
    from mismatch.distributions import Uniform as Uniform
    from mismatch.distributions.base import Distribution as Distribution
    from rate_bridge.encodings import CurrentEncoding as CurrentEncoding
    from rate_bridge.encodings import Encoding as Encoding
    from rate_bridge.encodings import PhaseEncoding as PhaseEncoding
    from rate_bridge.encodings import PoissonEncoding as PoissonEncoding
    from rate_bridge.errors import InputError as InputError
    from rate_bridge.errors import SimulationError as SimulationError
    from rate_bridge.errors import SpiketrainError as SpiketrainError
    from spiketrain.api.activity import Activity as Activity
    from spiketrain.api.fitted import Run as Run
    from spiketrain.api.fitted import open_run as open  # noqa: A004, F401 (types alone)
    from spiketrain.api.objects import register as register
    from spiketrain.api.setup import Setup as Setup
    from spiketrain.api.setup import load as load
    from spiketrain.api.studying import compare as compare
    from spiketrain.api.studying import sweep as sweep
    from spiketrain.hooks import BatchDone as BatchDone
    from spiketrain.hooks import EarlyStopping as EarlyStopping
    from spiketrain.hooks import EpochDone as EpochDone
    from spiketrain.tasks.base import Task as Task
    from spiketrain.tasks.base import TaskData as TaskData
    from spiking.neurons.base import Neuron as Neuron
    from spiking.neurons.lif import LIF as LIF
    from spiking.neurons.rate import Rate as Rate

    __version__: str

_WHERE = {
    "learning.backprop": ("Backprop",),
    "learning.direct_feedback_alignment": ("DirectFeedbackAlignment",),
    "learning.feedback_alignment": ("FeedbackAlignment",),
    "learning.feedback_control.dfc": ("DeepFeedbackControl",),
    "learning.feedback_control.feedback_weights": ("RandomFeedback", "WeightProduct"),
    "learning.feedback_control.gains": ("ControllerGains",),
    "learning.feedback_control.identified": ("IdentifiedFeedback",),
    "learning.feedback_control.prediction": ("Basal", "TwoPhase"),
    "learning.model": ("Model",),
    "learning.nlms": ("CentredNLMS",),
    "learning.optimizers": ("SGD", "Adam", "Optimizer"),
    "learning.readout_only": ("ReadoutOnly",),
    "learning.rule": ("LearningRule", "Outer", "Update"),
    "learning.sign_symmetry": ("SignSymmetry",),
    "learning.stimulus": ("Batch",),
    "mismatch.distributions": ("Lognormal", "Normal", "Uniform"),
    "mismatch.distributions.base": ("Distribution",),
    "rate_bridge.encodings": ("CurrentEncoding", "Encoding", "PhaseEncoding", "PoissonEncoding"),
    "rate_bridge.errors": ("InputError", "SimulationError", "SpiketrainError"),
    "spiketrain.api.activity": ("Activity",),
    "spiketrain.api.fitted": ("Run", "open"),
    "spiketrain.api.objects": ("register",),
    "spiketrain.api.setup": ("Setup", "load"),
    "spiketrain.api.studying": ("compare", "sweep"),
    "spiketrain.hooks": ("BatchDone", "EarlyStopping", "EpochDone"),
    "spiketrain.tasks.base": ("Task", "TaskData"),
    "spiking.neurons.base": ("Neuron",),
    "spiking.neurons.lif": ("LIF",),
    "spiking.neurons.rate": ("Rate",),
}
"""Module to the names that it brings here."""

_MODULES = {name: module for module, names in _WHERE.items() for name in names}

_RENAMED = {"open": "open_run"}
"""Names that would hide a builtin where they are defined."""

__all__ = [  # noqa: PLE0604 (one list, above)
    "__version__",
    *_MODULES,
]


def _room_of(file: str) -> str:
    """Return the folder that the package of an ``__init__.py`` is in."""
    return os.path.dirname(os.path.dirname(os.path.realpath(file)))


def _refuse_namesakes() -> None:
    """Say at once which file hides a room of this project, instead of failing in the middle of one."""
    home = _room_of(__file__)
    for room in ("rate_bridge", "spiking", "mismatch", "learning"):
        there = sys.modules.get(room)
        spec = None if there is not None else find_spec(room)
        found = there.__file__ if there is not None else spec.origin if spec is not None else None
        if found is not None and _room_of(found) != home:
            raise ImportError(
                f"{found} hides a package of that name that comes with spiketrain: rename it, or keep its "
                "folder out of the search path (python -P script.py leaves the script's folder out)",
                name=room,
                path=found,
            )


_refuse_namesakes()

if not TYPE_CHECKING:  # for a type checker, what is not above does not exist

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415 (reads the installed metadata)

            return version("spiketrain")
        if name not in _MODULES:
            raise AttributeError(f"module 'spiketrain' has no attribute {name!r}")
        found: object = getattr(import_module(_MODULES[name]), _RENAMED.get(name, name))
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
