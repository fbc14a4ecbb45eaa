"""What a run leaves behind: its directory, metrics, checkpoints and provenance."""

from spiketrain.record.progress import Progress, progress
from spiketrain.record.provenance import provenance
from spiketrain.record.run import SUMMARY, RunRecord, read_checkpoint, save_files
from spiketrain.record.state import pack_state, unpack_state
from spiketrain.record.store import Folder, Memory, Store

__all__ = [
    "SUMMARY",
    "Folder",
    "Memory",
    "Progress",
    "RunRecord",
    "Store",
    "pack_state",
    "progress",
    "provenance",
    "read_checkpoint",
    "save_files",
    "unpack_state",
]
