"""A package of somebody else brings a rule, which a config names like the project's own."""

import os
import subprocess
import sys
from pathlib import Path

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "somebodys-rule"
version = "0.1"
[project.entry-points."spiketrain.rules"]
last_layer_only = "somebodys_rule:LastLayerOnly"
[tool.setuptools]
py-modules = ["somebodys_rule"]
"""

RULE = '''
from dataclasses import dataclass
from typing import ClassVar

from spiketrain.learning.rule import LearningRule, Outer, Update


@dataclass(frozen=True)
class LastLayerOnly(LearningRule):
    """The delta rule.

    Args:
        strength: factor on the error.
    """

    strength: float = 1.0
    name: ClassVar[str] = "last_layer_only"
    uses_model = False

    def presentation(self, batch, model):
        return (model.stimulus.phase("free", batch),)

    def update(self, batch, observation, model):
        rates = observation["free"].rates
        error = self.strength * (batch.target.to(rates[-1]) - rates[-1])
        nothing = (None,) * (model.network.depth - 1)
        return Update((*nothing, Outer(rates[-2], error)), residual=error.abs().mean(dim=(1, 2)))
'''

LEARN = """
from spiketrain.config import load_experiment
from spiketrain.teaching import learn
from spiketrain.parts import build

rule = "rule={name: last_layer_only, strength: 0.5}"
parts = build(load_experiment("readout_lif.yaml", [rule, "simulator.name=torch", "mismatch.chips=1"]), None)
before = [w.detach().clone() for w in parts.model.forward_weights]
learn(parts, next(parts.batches(0)), 0.5)
changed = [not w.equal(b) for w, b in zip(parts.model.forward_weights, before)]
print(type(parts.rule).__module__, parts.rule.strength, changed)
"""


def run(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_a_rule_of_another_package_is_found_by_its_name(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "somebodys_rule.py").write_text(RULE)
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--quiet")
    installed = run("-m", "pip", "install", *offline, "--target", str(target), str(source))
    assert installed.returncode == 0, installed.stderr
    assert list(target.glob("somebodys_rule-0.1.dist-info/entry_points.txt"))

    missing = run("-c", LEARN)
    assert missing.returncode != 0
    assert "last_layer_only" in missing.stderr

    learnt = run("-c", LEARN, path=target)
    assert learnt.returncode == 0, learnt.stderr
    assert learnt.stdout.split(maxsplit=2) == ["somebodys_rule", "0.5", "[False, True]\n"]
