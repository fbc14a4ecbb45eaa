"""What is to be learned, one task per file; found by name through ``spiketrain.tasks``."""

from spiketrain.tasks.base import Task, TaskData

__all__ = ["Task", "TaskData"]
