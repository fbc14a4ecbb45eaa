"""Where the files of a run are: in a folder, or in memory until somebody saves them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import final

from root.errors import DamagedError
from root.files import read_regular
from spiketrain.record.files import is_leftover, write_bytes
from spiketrain.record.lock import LOCK
from spiking.tensor_files import MAX_BYTES

__all__ = ["Folder", "Memory", "Store"]


class Store(ABC):
    """Named files; a file is there as a whole or not at all."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Put `content` under `name`, in place of what was there."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundError: there is no such file.
            DamagedError: there is, but it cannot be read, or is no file.
        """

    @abstractmethod
    def place(self, name: str) -> str:
        """Return what errors call a file."""

    @abstractmethod
    def names(self) -> Iterator[str]:
        """Return the names of the files, sorted; those of a run alone, no figures."""

    @abstractmethod
    def __contains__(self, name: object) -> bool: ...


@final
class Folder(Store):
    """The files of a folder.

    Args:
        path: the folder; it exists where anything is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, content: bytes) -> None:
        write_bytes(self.path / name, content)

    def read(self, name: str) -> bytes:
        if name not in self:
            raise FileNotFoundError(2, "No such file", str(self.path / name))
        return read_regular(self.path / name, self.place(name), "file of a run", MAX_BYTES, DamagedError)

    def place(self, name: str) -> str:
        return str(self.path / name)

    def names(self) -> Iterator[str]:
        files = (path.name for path in self.path.iterdir() if path.is_file())
        return iter(sorted(name for name in files if name != LOCK and not is_leftover(name)))

    def __contains__(self, name: object) -> bool:
        # A link that leads nowhere is there, and damaged: nobody takes it for a file that was not written.
        return isinstance(name, str) and ((self.path / name).is_symlink() or (self.path / name).exists())


@final
class Memory(Store):
    """Files that are nowhere but here."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def write(self, name: str, content: bytes) -> None:
        self._files[name] = content

    def read(self, name: str) -> bytes:
        try:
            return self._files[name]
        except KeyError:
            raise FileNotFoundError(2, "No such file", name) from None

    def place(self, name: str) -> str:
        return name

    def names(self) -> Iterator[str]:
        return iter(sorted(self._files))

    def __contains__(self, name: object) -> bool:
        return name in self._files
