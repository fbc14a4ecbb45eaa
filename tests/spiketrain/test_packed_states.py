"""States of optimisers and rules, packed into tensors and text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from test_record import CONFIG, IDENTITY
from torch import nn

from spiketrain.record import RunRecord, pack_state, unpack_state


@pytest.mark.parametrize(
    ("optimizer", "settings"),
    [
        (torch.optim.Adam, {"lr": 0.01, "amsgrad": True}),
        (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        (torch.optim.Adam, {"lr": 1 / 3, "betas": (0.85, 0.995)}),
    ],
)
def test_an_optimiser_goes_on_to_the_same_bits(
    tmp_path: Path, optimizer: type[torch.optim.Optimizer], settings: dict[str, object]
) -> None:
    torch.manual_seed(0)
    data = torch.randn(12, 5, dtype=torch.float64)

    def made() -> tuple[nn.Linear, torch.optim.Optimizer]:
        torch.manual_seed(1)
        model = nn.Linear(5, 3, dtype=torch.float64)
        return model, optimizer(model.parameters(), **settings)  # type: ignore[call-arg]

    def steps(model: nn.Linear, optimiser: torch.optim.Optimizer, count: int) -> None:
        for _ in range(count):
            optimiser.zero_grad()
            model(data).square().sum().backward()
            optimiser.step()

    model, optimiser = made()
    steps(model, optimiser, 5)
    with RunRecord.create(tmp_path, CONFIG, IDENTITY) as record:
        tensors, text = pack_state(optimiser.state_dict(), "optimizer")
        weights = {f"model.{name}": value for name, value in model.state_dict().items()}
        record.checkpoint(1, tensors | weights, {"optimizer": text})
        loaded = record.load_checkpoint()
    assert loaded is not None
    steps(model, optimiser, 5)

    resumed, again = made()
    resumed.load_state_dict(
        {n.removeprefix("model."): t for n, t in loaded[1].items() if n.startswith("model.")}
    )
    again.load_state_dict(unpack_state(loaded[1], loaded[2]["optimizer"]))
    steps(resumed, again, 5)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), resumed.parameters(), strict=True))


def test_packing_keeps_kinds_and_refuses_the_rest() -> None:
    state = {1: (1, 2.5, None), "1": [True, "x", {}], "t": torch.arange(6).view(2, 3).T, "f": float("-inf")}
    tensors, text = pack_state(state)
    back = unpack_state(tensors, json.loads(json.dumps(text, allow_nan=False)))
    assert torch.equal(back.pop("t"), state.pop("t"))  # type: ignore[arg-type]
    assert back == state
    assert isinstance(back[1], tuple)
    with pytest.raises(TypeError, match="object"):
        pack_state({"o": object()})
