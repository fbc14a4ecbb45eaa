"""Values of a network's populations or connections: by name, and in the network's order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, SupportsIndex, TypeVar, final, overload

from root.errors import InputError, nearest

__all__ = ["Named", "by_name"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@final
class Named(tuple[T_co, ...], Generic[T_co]):
    """A tuple whose values also have names: ``rates["hidden"]`` is ``rates[1]``.

    Args:
        names: one per value.
        values: in the order of the names.
    """

    names: tuple[str, ...]

    def __new__(cls, names: Iterable[str], values: Iterable[T_co]) -> Named[T_co]:
        made = super().__new__(cls, tuple(values))
        made.names = tuple(names)
        if len(made.names) != len(made):
            raise InputError("names", list(made.names), f"as many as there are values ({len(made)})")
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.names, tuple(self)

    @overload
    def __getitem__(self, key: str | SupportsIndex) -> T_co: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[T_co, ...]: ...
    def __getitem__(self, key: Any) -> Any:
        """Return the value of a name or place, or those of a stretch.

        Raises:
            InputError: nothing has that name.
        """
        if not isinstance(key, str):
            return super().__getitem__(key)
        if key not in self.names:
            raise InputError("name", key, ", ".join(self.names), nearest(key, self.names))
        return super().__getitem__(self.names.index(key))

    def items(self) -> Iterator[tuple[str, T_co]]:
        """Yield names and values."""
        return zip(self.names, self, strict=True)


def by_name(key: str, names: Sequence[str], given: Mapping[str, T] | Sequence[T], missing: str) -> Named[T]:
    """Return values that are given by name, or one after the other, in the order of `names`.

    Args:
        key: what they are, to blame.
        names: of all that there are.
        given: values by name; or in this order.
        missing: what one that has nothing to say is given, in words.

    Raises:
        InputError: a name is missing, unknown, or stands for nothing.
    """
    allowed = f"one for each of {', '.join(names)}{missing}"
    if isinstance(given, Named):
        given = dict(given.items())
    if not isinstance(given, Mapping):
        if len(given) != len(names):
            raise InputError(key, f"{len(given)} of them", allowed)
        return Named(names, given)
    if unknown := [name for name in given if name not in names]:
        raise InputError(f"{key}.{unknown[0]}", unknown[0], ", ".join(names), nearest(unknown[0], names))
    if left := [name for name in names if name not in given]:
        raise InputError(key, f"nothing for {', '.join(left)}", allowed)
    return Named(names, (given[name] for name in names))
