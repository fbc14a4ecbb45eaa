"""The report of a run: one page and its figures."""

from spiketrain.report.page import write
from spiketrain.report.samples import Samples

__all__ = ["Samples", "write"]
