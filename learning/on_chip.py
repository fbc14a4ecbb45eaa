"""Steps that the chips make themselves: the host reads what their synapses have become."""

from __future__ import annotations

from typing import Any, final

from learning.model import Model, OnChip
from learning.optimizers import Stepper
from learning.rule import Update

__all__ = ["OnChipStepper"]


@final
class OnChipStepper(Stepper):
    """Gradient descent on the chip, without momentum; an update is the change that was made.

    Args:
        model: follows the chips' programmed weights.
        scales: per connection, a factor on the learning rate.
        batch: samples shown between two changes.
    """

    def __init__(self, model: Model, scales: tuple[float, ...], batch: int) -> None:
        self.model, self.scales, self.batch = model, scales, batch

    def on_chip(self, rate: float) -> OnChip:
        return OnChip(self.batch, tuple(rate * scale for scale in self.scales))

    def apply(self, update: Update, rate: float) -> None:
        """Take over what was changed; `rate` is in it already."""
        connections = self.model.network.connections
        for index, (change, connection) in enumerate(
            zip(update.of(self.model.network), connections, strict=True)
        ):
            if change is None:
                continue
            weight, bias = self.model.forward_weights[index], change.bias()
            weight.data += change.weight().to(weight)
            if bias is not None:
                self.model.bias[connection.post - 1].data += bias.to(weight)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no state."""
