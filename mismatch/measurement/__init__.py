"""Values that a lab measured on its chips: read, cleaned, looked at, fitted."""

from mismatch.measurement.reading import Measurement, Quantity, read_measurement

__all__ = ["Measurement", "Quantity", "read_measurement"]
