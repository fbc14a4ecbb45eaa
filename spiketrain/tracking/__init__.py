"""Trackers: what else, beside the run's own files, is told how a run goes."""

from spiketrain.tracking.base import NO_LOG, Log, Started, Tracker

__all__ = ["NO_LOG", "Log", "Started", "Tracker"]
