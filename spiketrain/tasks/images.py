"""The user's own images, in a folder per label."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, final

import numpy as np

from root.arrays import Header
from root.errors import InputError
from root.files import read_regular
from root.ranges import Range
from spiketrain.tasks.base import TaskData
from spiketrain.tasks.files import MEMORY_BYTES, afford, taken
from spiketrain.tasks.own import Floats, OwnFiles, numbered

__all__ = ["ImageFolder"]

MAX_IMAGE = 1_000_000_000
"""Largest file that is opened, in bytes; Pillow refuses one that unpacks to far more."""

PIXELS = Range(1, 4096, "pixels")

FORMATS = ("PNG", "JPEG", "BMP", "PPM", "TIFF", "WEBP")

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm", ".tif", ".tiff", ".webp"})


@final
@dataclass(frozen=True)
class ImageFolder(OwnFiles):
    """Images in a folder per label, ``FOLDER/cat/1.png``; or such folders within ``train`` and ``test``.

    Pixels are divided by 255 and laid out row by row, with colours pixel by pixel. Labels are numbered
    from 0: integers in their order, texts in that of the alphabet. Needs Pillow, the extra ``images``.

    Args:
        folder: its path, within ``--data-dir`` unless absolute.
        size: side of the square that images are resized to, in pixels; null takes them as they are, and
            then all must have one size.
        colours: ``grey``, one input a pixel, or ``rgb``, three.
    """

    folder: str = ""
    size: Annotated[int, PIXELS] | None = None
    colours: Literal["grey", "rgb"] = "grey"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.folder:
            raise InputError("folder", self.folder, "the path of a folder of images")

    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        root = (data_dir or Path()) / self.folder
        if not root.is_dir():
            raise InputError("task.folder", str(root), "an existing folder, with a folder per label")
        own = (root / "train").is_dir() and (root / "test").is_dir()
        x, labels = self._read(root / "train" if own else root, None, memory_bytes)
        y, names = numbered(str(root), labels)
        test = None
        if own:
            self._refuse_split(f"{root} has a test set of its own")
            x_test, test_labels = self._read(
                root / "test", x.shape[1], memory_bytes - taken(Header(x.shape, x.dtype))
            )
            test = (x_test, numbered(str(root / "test"), test_labels, names)[0])
        return self._finished(str(root), (x, y), test, len(names))

    def _read(self, root: Path, wanted: int | None, memory_bytes: int) -> tuple[Floats, list[str]]:
        folders = sorted(path for path in root.iterdir() if path.is_dir())
        files = [
            (path, folder.name)
            for folder in folders
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in ENDINGS
        ]
        if not files:
            fix = f"Known endings: {', '.join(sorted(ENDINGS))}."
            raise InputError("task.folder", f"{root} without images", "folders of images, one per label", fix)
        first = self._pixels(files[0][0], memory_bytes)
        wanted = first.size if wanted is None else wanted
        afford(str(root), {"images": Header((len(files), wanted), np.dtype(np.float64))}, memory_bytes)
        x = np.empty((len(files), wanted))
        for row, (path, _) in enumerate(files):
            pixels = self._pixels(path, memory_bytes)
            if pixels.size != wanted:
                fix = "task.size resizes them."
                raise InputError(str(path), f"{pixels.size} values", f"{wanted}, as in the first image", fix)
            x[row] = pixels.ravel() / 255.0
        return x, [label for _, label in files]

    def _pixels(self, path: Path, memory_bytes: int) -> Any:
        try:
            from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 (an extra)
        except ImportError:
            fix = "pip install 'spiketrain[images]'"
            raise InputError("task.name", "images", "an installed Pillow", fix) from None
        content = read_regular(path, str(path), "image", MAX_IMAGE)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                image = Image.open(io.BytesIO(content), formats=FORMATS)
            with image:
                afford(str(path), {"image": Header((*image.size, 3), np.dtype(np.uint8))}, memory_bytes)
                shown = image.convert("L" if self.colours == "grey" else "RGB")
                shown = shown if self.size is None else shown.resize((self.size, self.size))
                return np.asarray(shown)
        except InputError:
            raise
        except (
            OSError,
            ValueError,
            SyntaxError,
            UnidentifiedImageError,
            Image.DecompressionBombWarning,
            Image.DecompressionBombError,
        ) as error:
            raise InputError(str(path), "no readable image", ", ".join(FORMATS), str(error)) from None
