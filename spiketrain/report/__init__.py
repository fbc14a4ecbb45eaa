"""The report of a run: one page and its figures."""

from spiketrain.record.samples import Samples
from spiketrain.report.page import write

__all__ = ["Samples", "write"]
