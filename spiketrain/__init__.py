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

from importlib import import_module
from typing import TYPE_CHECKING

from spiketrain.rooms import settle

if TYPE_CHECKING:  # what type checkers and editors read; what runs is `__getattr__`
    from learning.backprop import Backprop as Backprop
    from learning.direct_feedback_alignment import DirectFeedbackAlignment as DirectFeedbackAlignment
    from learning.equilibrium_propagation import EquilibriumPropagation as EquilibriumPropagation
    from learning.feedback_alignment import FeedbackAlignment as FeedbackAlignment
    from learning.feedback_control.closed_form import ClosedFormDFC as ClosedFormDFC
    from learning.feedback_control.dfc import DeepFeedbackControl as DeepFeedbackControl
    from learning.feedback_control.feedback_weights import RandomFeedback as RandomFeedback
    from learning.feedback_control.feedback_weights import WeightProduct as WeightProduct
    from learning.feedback_control.gains import ControllerGains as ControllerGains
    from learning.feedback_control.identified import IdentifiedFeedback as IdentifiedFeedback
    from learning.feedback_control.prediction import Basal as Basal
    from learning.feedback_control.prediction import TwoPhase as TwoPhase
    from learning.feedback_control.strong_dfc import StrongDFC as StrongDFC
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
    from learning.surrogate import SurrogateBPTT as SurrogateBPTT
    from mismatch.distributions import Lognormal as Lognormal
    from mismatch.distributions import Normal as Normal
    from mismatch.distributions import Uniform as Uniform
    from mismatch.distributions.base import Distribution as Distribution
    from mismatch.imperfections.faults import Faults as Faults
    from mismatch.imperfections.resolution import Resolution as Resolution
    from rate_bridge.encodings import CurrentEncoding as CurrentEncoding
    from rate_bridge.encodings import Encoding as Encoding
    from rate_bridge.encodings import PhaseEncoding as PhaseEncoding
    from rate_bridge.encodings import PoissonEncoding as PoissonEncoding
    from rate_bridge.sequences import Events as Events
    from rate_bridge.sequences import Series as Series
    from root.errors import InputError as InputError
    from root.errors import SimulationError as SimulationError
    from root.errors import SpiketrainError as SpiketrainError
    from spiketrain.api.activity import Activity as Activity
    from spiketrain.api.fitted import Run as Run
    from spiketrain.api.fitted import open_run as open  # noqa: A004, F401 (types alone)
    from spiketrain.api.objects import register as register
    from spiketrain.api.sections import Analysis as Analysis
    from spiketrain.api.sections import Bridge as Bridge
    from spiketrain.api.sections import Connection as Connection
    from spiketrain.api.sections import Graph as Graph
    from spiketrain.api.sections import Mismatch as Mismatch
    from spiketrain.api.sections import Network as Network
    from spiketrain.api.sections import Population as Population
    from spiketrain.api.sections import Simulator as Simulator
    from spiketrain.api.sections import Training as Training
    from spiketrain.api.setup import Setup as Setup
    from spiketrain.api.setup import build as build
    from spiketrain.api.setup import load as load
    from spiketrain.api.studying import compare as compare
    from spiketrain.api.studying import sweep as sweep
    from spiketrain.hooks import BatchDone as BatchDone
    from spiketrain.hooks import EarlyStopping as EarlyStopping
    from spiketrain.hooks import EpochDone as EpochDone
    from spiketrain.tasks.base import Task as Task
    from spiketrain.tasks.base import TaskData as TaskData
    from spiketrain.tasks.digits import Digits as Digits
    from spiketrain.tasks.hdf5 import Hdf5File as Hdf5File
    from spiketrain.tasks.idx import IdxFiles as IdxFiles
    from spiketrain.tasks.images import ImageFolder as ImageFolder
    from spiketrain.tasks.npz import NpzFile as NpzFile
    from spiketrain.tasks.table import CsvFile as CsvFile
    from spiketrain.tasks.yinyang import YinYang as YinYang
    from spiketrain.tracking.base import Tracker as Tracker
    from spiketrain.tracking.mlflow import MLflow as MLflow
    from spiketrain.tracking.tensorboard import TensorBoard as TensorBoard
    from spiking.connections import AveragePool2d as AveragePool2d
    from spiking.connections import Conv2d as Conv2d
    from spiking.connections import Dense as Dense
    from spiking.connections import OneToOne as OneToOne
    from spiking.connections import Recurrent as Recurrent
    from spiking.connections import Sparse as Sparse
    from spiking.feedback import Direct as Direct
    from spiking.feedback import Layered as Layered
    from spiking.neurons.alif import ALIF as ALIF
    from spiking.neurons.base import Neuron as Neuron
    from spiking.neurons.cuba_lif import CubaLIF as CubaLIF
    from spiking.neurons.integrate_and_fire import IF as IF
    from spiking.neurons.li import LI as LI
    from spiking.neurons.lif import LIF as LIF
    from spiking.neurons.rate import Rate as Rate

    __version__: str

_WHERE = {
    "spiketrain.api.activity": ("Activity",),
    "spiketrain.api.fitted": ("Run", "open"),
    "spiketrain.api.objects": ("register",),
    "spiketrain.api.sections": (
        "Analysis",
        "Bridge",
        "Connection",
        "Graph",
        "Mismatch",
        "Network",
        "Population",
        "Simulator",
        "Training",
    ),
    "spiketrain.api.setup": ("Setup", "build", "load"),
    "spiketrain.api.studying": ("compare", "sweep"),
    "spiketrain.hooks": ("BatchDone", "EarlyStopping", "EpochDone"),
    "spiketrain.learning.backprop": ("Backprop",),
    "spiketrain.learning.direct_feedback_alignment": ("DirectFeedbackAlignment",),
    "spiketrain.learning.equilibrium_propagation": ("EquilibriumPropagation",),
    "spiketrain.learning.feedback_alignment": ("FeedbackAlignment",),
    "spiketrain.learning.feedback_control.closed_form": ("ClosedFormDFC",),
    "spiketrain.learning.feedback_control.dfc": ("DeepFeedbackControl",),
    "spiketrain.learning.feedback_control.feedback_weights": ("RandomFeedback", "WeightProduct"),
    "spiketrain.learning.feedback_control.gains": ("ControllerGains",),
    "spiketrain.learning.feedback_control.identified": ("IdentifiedFeedback",),
    "spiketrain.learning.feedback_control.prediction": ("Basal", "TwoPhase"),
    "spiketrain.learning.feedback_control.strong_dfc": ("StrongDFC",),
    "spiketrain.learning.model": ("Model",),
    "spiketrain.learning.nlms": ("CentredNLMS",),
    "spiketrain.learning.optimizers": ("SGD", "Adam", "Optimizer"),
    "spiketrain.learning.readout_only": ("ReadoutOnly",),
    "spiketrain.learning.rule": ("LearningRule", "Outer", "Update"),
    "spiketrain.learning.sign_symmetry": ("SignSymmetry",),
    "spiketrain.learning.stimulus": ("Batch",),
    "spiketrain.learning.surrogate": ("SurrogateBPTT",),
    "spiketrain.mismatch.distributions": ("Lognormal", "Normal", "Uniform"),
    "spiketrain.mismatch.distributions.base": ("Distribution",),
    "spiketrain.mismatch.imperfections.faults": ("Faults",),
    "spiketrain.mismatch.imperfections.resolution": ("Resolution",),
    "spiketrain.rate_bridge.encodings": ("CurrentEncoding", "Encoding", "PhaseEncoding", "PoissonEncoding"),
    "spiketrain.root.errors": ("InputError", "SimulationError", "SpiketrainError"),
    "spiketrain.spiking.connections": ("AveragePool2d", "Conv2d", "Dense", "OneToOne", "Recurrent", "Sparse"),
    "spiketrain.spiking.feedback": ("Direct", "Layered"),
    "spiketrain.spiking.neurons.alif": ("ALIF",),
    "spiketrain.spiking.neurons.base": ("Neuron",),
    "spiketrain.spiking.neurons.cuba_lif": ("CubaLIF",),
    "spiketrain.spiking.neurons.integrate_and_fire": ("IF",),
    "spiketrain.spiking.neurons.li": ("LI",),
    "spiketrain.spiking.neurons.lif": ("LIF",),
    "spiketrain.spiking.neurons.rate": ("Rate",),
    "spiketrain.rate_bridge.sequences": ("Events", "Series"),
    "spiketrain.tasks.base": ("Task", "TaskData"),
    "spiketrain.tasks.digits": ("Digits",),
    "spiketrain.tasks.hdf5": ("Hdf5File",),
    "spiketrain.tasks.idx": ("IdxFiles",),
    "spiketrain.tasks.images": ("ImageFolder",),
    "spiketrain.tasks.npz": ("NpzFile",),
    "spiketrain.tasks.table": ("CsvFile",),
    "spiketrain.tasks.yinyang": ("YinYang",),
    "spiketrain.tracking.base": ("Tracker",),
    "spiketrain.tracking.mlflow": ("MLflow",),
    "spiketrain.tracking.tensorboard": ("TensorBoard",),
}
"""Module to the names that it brings here."""

_MODULES = {name: module for module, names in _WHERE.items() for name in names}

_RENAMED = {"open": "open_run"}
"""Names that would hide a builtin where they are defined."""

__all__ = [  # noqa: PLE0604 (one list, above)
    "__version__",
    *_MODULES,
]


settle()

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
