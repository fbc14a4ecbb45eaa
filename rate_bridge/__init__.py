"""Spikes, rates and currents, and what turns one into another."""
