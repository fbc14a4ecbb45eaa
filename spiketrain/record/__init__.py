"""What a run leaves behind: its directory, metrics, checkpoints and provenance."""

from spiketrain.record.progress import Progress, progress
from spiketrain.record.provenance import provenance
from spiketrain.record.run import SUMMARY, RunRecord
from spiketrain.record.state import pack_state, unpack_state

__all__ = ["SUMMARY", "Progress", "RunRecord", "pack_state", "progress", "provenance", "unpack_state"]
