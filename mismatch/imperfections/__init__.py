"""What goes wrong beyond static deviations, one kind per file, registered in ``spiketrain.imperfections``."""

from mismatch.imperfections.base import Die, Effect, Imperfection, Moment, Write

__all__ = ["Die", "Effect", "Imperfection", "Moment", "Write"]
