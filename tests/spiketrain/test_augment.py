"""Training samples that are moved: what is seen, in which epoch, and by whom not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch

import spiketrain as st
from rate_bridge.sequences import Series
from root.errors import InputError
from spiketrain.config import Experiment
from spiketrain.experiment import run
from spiketrain.hooks import Hooks
from spiketrain.parts import build
from spiketrain.tasks.augmentations import Shift

CONFIG: dict[str, Any] = {
    "name": "moved",
    "task": {"name": "digits"},
    "network": {"layers": [64, 10, 10], "neuron": {"model": "rate", "activation": "tanh", "tau_ms": 20}},
    "mismatch": {"chips": 2, "weight": {"distribution": "normal", "cv": 0.2}},
    "bridge": {"encoding": "current"},
    "rule": {"name": "backprop"},
    "simulator": {"name": "steady", "presentation_ms": 100, "window_ms": 1},
    "training": {"epochs": 2, "batch": 128, "optimizer": "adam", "learning_rate": 0.01, "validation": 0.2},
}


def experiment(**training: Any) -> Experiment:
    """Return the experiment with other keys of training."""
    return Experiment.from_mapping({**CONFIG, "training": {**CONFIG["training"], **training}})


def test_images_are_moved_each_by_its_own_draw_and_what_comes_in_is_nothing() -> None:
    images = np.random.default_rng(0).uniform(0.1, 1.0, (50, 3, 5))
    moved = Shift(2, image=(3, 5))(torch.from_numpy(images.reshape(50, 15)), np.random.default_rng(1))
    seen = set()
    for image, found in zip(images, moved.reshape(50, 3, 5).numpy(), strict=True):
        framed = np.pad(image, 2)
        cuts = {(r, c): framed[2 - r : 5 - r, 2 - c : 7 - c] for r in range(-2, 3) for c in range(-2, 3)}
        fits = [step for step, cut in cuts.items() if np.array_equal(cut, found)]
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) > 15, "of 25 displacements most are seen"


def test_the_colours_of_a_pixel_move_together() -> None:
    image = np.random.default_rng(2).uniform(0.1, 1.0, (4, 4, 3))
    x = torch.from_numpy(np.repeat(image.reshape(1, 48), 20, axis=0))
    moved = Shift(1)(x, np.random.default_rng(3)).reshape(20, 4, 4, 3)
    for colour in range(3):
        alone = Shift(1)(x.reshape(20, 16, 3)[..., colour], np.random.default_rng(3))
        assert torch.equal(moved[..., colour].reshape(20, 16), alone)
    assert torch.equal(Shift(1, image=(4, 4))(x, np.random.default_rng(3)), moved.reshape(20, 48))


def test_images_come_to_lie_between_pixels() -> None:
    images = np.random.default_rng(4).uniform(0.1, 1.0, (40, 6, 7))
    x = torch.from_numpy(images.reshape(40, 42))
    moved = Shift(1.5, between=True, image=(6, 7))(x, np.random.default_rng(5)).reshape(40, 6, 7).numpy()
    steps = np.random.default_rng(5).uniform(-1.5, 1.5, (2, 40))
    for image, found, step in zip(images, moved, steps.T, strict=True):
        framed = scipy.ndimage.shift(np.pad(image, 3), step, order=1)
        assert np.allclose(found, framed[3:-3, 3:-3], atol=1e-12)
    full = Shift(0.5, between=True)(torch.ones(2000, 64, dtype=torch.float64), np.random.default_rng(6))
    assert full.max() == 1.0, "four parts of a full pixel are no more than one"
    assert (moved != images).any(axis=(1, 2)).all(), "no image stays"


def test_every_epoch_is_moved_anew_and_the_same_when_seen_again() -> None:
    parts, plain = build(experiment(augment="shift"), None), build(experiment(), None)
    first, again, later = next(parts.batches(0)), next(parts.batches(0)), next(parts.batches(1))
    assert torch.equal(first.x, again.x)
    assert torch.equal(first.target, next(plain.batches(0)).target), "the same samples in the same order"
    assert not torch.equal(first.x, next(plain.batches(0)).x)
    assert not torch.equal(first.x, later.x)
    for part in ("validation", "test"):
        assert torch.equal(parts.data.split(part)[0], plain.data.split(part)[0])  # type: ignore[arg-type]


def test_a_run_that_goes_on_sees_what_it_would_have_seen(tmp_path: Path) -> None:
    moved = experiment(augment={"name": "shift", "pixels": 2})
    whole = run(moved, tmp_path / "whole", quiet=True, report=False)
    with pytest.raises(KeyboardInterrupt):
        run(moved, tmp_path / "cut", quiet=True, report=False, hooks=Hooks(on_epoch=_interrupted))
    run(moved, tmp_path / "cut", resume=True, quiet=True, report=False)
    texts = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "cut")]
    assert texts[0] == texts[1]
    assert (
        whole.summary["test_accuracy"]
        != run(experiment(), tmp_path / "p", quiet=True).summary["test_accuracy"]
    )


def _interrupted(done: object) -> None:
    raise KeyboardInterrupt


def test_it_is_a_part_like_any_other() -> None:
    said = experiment(augment="shift").resolved()["training"]["augment"]
    assert said == {"name": "shift", "pixels": 1, "between": False, "image": None}
    assert "augment" not in experiment().resolved(defaults=False)["training"]
    assert st.Training(2, 128, 0.01, augment=Shift(2)).said["augment"] == Shift(2)


@pytest.mark.parametrize(
    ("augment", "said"),
    [
        ({"name": "shift", "pixels": 8}, r"training\.augment\.pixels: got 8"),
        ({"name": "shift", "pixels": 0}, r"training\.augment\.pixels: got 0"),
        ({"name": "shift", "pixels": 0.5}, r"training\.augment\.pixels: got 0\.5; .*between: true"),
        ({"name": "shift", "pixels": 8.5, "between": True}, r"training\.augment\.pixels: got 8\.5"),
        ({"name": "shift", "image": [8, 9]}, r"training\.augment\.image: got \[8, 9\]"),
        ({"name": "turn"}, r"training\.augment\.name: got 'turn'"),
        ({"name": "shift", "pixel": 2}, r"training\.augment\.pixel\b"),
    ],
)
def test_what_cannot_be_moved_is_refused_before_anything_is_written(
    augment: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        run(experiment(augment=augment), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(InputError, match="15 inputs are no square"):
        Shift().check(torch.zeros(3, 15))
    with pytest.raises(InputError, match="time series"):
        Shift().check(Series.of(np.zeros((3, 4, 16))))
