"""A GPU to pretend with: tensors that say they are on another device and compute on the processor.

PyTorch's FakeTensorMode finds mixed devices but has no values, and a training run looks at values. Here
they are there: every operation is checked as CUDA would check it (one device, no integer matrix products),
done on the processor, and its result is "on the card" again; what crosses the bus is counted.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten

NAME = "pretended"

backend_registration._setup_privateuseone_for_python_backend(NAME)

CARD = torch.device(NAME, 0)

COPIES = {aten._to_copy, aten.copy_, aten._local_scalar_dense}
"""What may have tensors of two devices."""

INDEXED = {aten.index, aten.index_put_, aten.index_put, aten._index_put_impl_}
"""What takes indices from the processor too."""

MATRIX_PRODUCTS = {aten.mm, aten.bmm, aten.addmm, aten.baddbmm, aten.mv, aten.dot}


class OnCard(Tensor):
    """A tensor on the pretended card."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnCard:
        made = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=CARD,
        )
        made.held = held
        return made

    def __init__(self, held: Tensor) -> None:
        pass

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __deepcopy__(self, memo: Any) -> Tensor:
        made = self.detach().clone()
        if hasattr(self, "_is_param"):
            made = nn.Parameter(made, requires_grad=self.requires_grad)
        memo[id(self)] = made
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {}, None)

    def data_ptr(self) -> int:
        return self.held.data_ptr()


class PretendedCard(TorchDispatchMode):
    """Within it, `CARD` is a device.

    Attributes:
        up: bytes that went to the card.
        down: bytes that came from it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.up = self.down = 0
        self.moves: list[tuple[str, tuple[int, ...], int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {}, self)


def compute(func: Any, args: Any, kwargs: dict[str, Any], mode: PretendedCard | None) -> Any:
    """Check an operation, do it, and say where its result is."""
    packet = func.overloadpacket
    given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    here = [tensor for tensor in given if isinstance(tensor, OnCard)]
    wanted = kwargs.get("device")
    if packet not in COPIES:
        check(func, packet, args, given, here)
    to_card = torch.device(wanted).type == NAME if wanted is not None else bool(here)
    if packet is aten._local_scalar_dense:
        to_card = False
    if packet is aten.copy_:
        to_card = isinstance(args[0], OnCard)
    if mode is not None and packet in COPIES and given:
        count(mode, func, given[-1], isinstance(given[-1], OnCard), to_card)
    if to_card and wanted is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    owners = {id(tensor.held): tensor for tensor in here}
    bare = tree_map(lambda leaf: leaf.held if isinstance(leaf, OnCard) else leaf, (args, kwargs))
    found = func(*bare[0], **bare[1])
    if packet is aten._to_copy and to_card and given and found is getattr(given[0], "held", given[0]):
        found = found.clone()

    def put(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or isinstance(leaf, OnCard):
            return leaf
        if id(leaf) in owners:
            return owners[id(leaf)]
        return OnCard(leaf) if to_card else leaf

    return tree_map(put, found)


def check(func: Any, packet: Any, args: Any, given: list[Tensor], here: list[Tensor]) -> None:
    """Raise `RuntimeError` where CUDA would."""
    if not here:
        return
    elsewhere = [tensor for tensor in given if not isinstance(tensor, OnCard)]
    if packet in INDEXED and isinstance(args[0], OnCard):
        loose = {id(index) for index in args[1] if index is not None}
        elsewhere = [tensor for tensor in elsewhere if id(tensor) not in loose]
    # a number may come from anywhere, but not into a matrix product, nor change in place
    numbers = packet not in MATRIX_PRODUCTS and all(tensor.dim() == 0 for tensor in elsewhere)
    written = func._schema.name.endswith("_") and args and not isinstance(args[0], OnCard)
    if elsewhere and (not numbers or written):
        shapes = [(tuple(tensor.shape), str(tensor.device)) for tensor in given]
        raise RuntimeError(f"Expected all tensors to be on the same device: {func} of {shapes}")
    if packet in MATRIX_PRODUCTS and not here[0].is_floating_point():
        raise RuntimeError(f"{func} is not implemented for {here[0].dtype} on CUDA")


def count(mode: PretendedCard, func: Any, source: Tensor, was_there: bool, is_there: bool) -> None:
    size = source.numel() * source.element_size()
    if is_there and not was_there:
        mode.up += size
        mode.moves.append(("up", tuple(source.shape), size))
    if was_there and not is_there:
        mode.down += size
        mode.moves.append(("down", tuple(source.shape), size))
