"""What rules remember: there and back through the tensors of a checkpoint, with their types."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from learning.state import RuleState


@dataclass(frozen=True)
class Kept(RuleState):
    count: int
    rates: tuple[Tensor, ...]
    weights: Mapping[int, Tensor]
    mean: Tensor
    seen: int = 3

    prefix: ClassVar[str] = "kept"


def test_there_and_back() -> None:
    many = tuple(torch.full((2,), float(i)) for i in range(12))  # 10 comes after 9
    state = Kept(7, many, {4: torch.ones(2, 3), 0: torch.zeros(1)}, torch.ones(()))
    entries = state.entries()
    assert set(entries) >= {"kept.count", "kept.rates.11", "kept.weights.4", "kept.mean", "kept.seen"}
    assert entries["kept.count"].dtype == torch.int64
    found = Kept.of({**entries, "kept.rates_of_others.0": torch.zeros(1), "other.count": torch.tensor(1)})
    assert (found.count, found.seen, sorted(found.weights)) == (7, 3, [0, 4])
    assert all(map(torch.equal, found.rates, many))
    assert torch.equal(found.weights[4], state.weights[4])
    assert torch.equal(found.mean, state.mean)


def test_what_was_not_started_is_missed() -> None:
    assert not Kept.known({})
    with pytest.raises(KeyError, match=r"kept\.count"):
        Kept.of({})
    with pytest.raises(KeyError, match=r"kept\.mean"):
        Kept.of({"kept.count": torch.tensor(1)})
    assert Kept.of({"kept.count": torch.tensor(1), "kept.mean": torch.ones(1)}).rates == ()
