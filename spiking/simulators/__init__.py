"""Machines that run networks; found by name through the entry points ``spiketrain.simulators``."""
