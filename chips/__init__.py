"""Chips as training sees them, and the wire behind which they can be.

Nothing in this room knows what chips are made of: neither mismatch nor the effective values of a machine.
What it can send through the wire are weights, phases and recordings.
"""

from chips.base import Chips
from chips.card import ABILITIES, Card

__all__ = ["ABILITIES", "Card", "Chips"]
