"""Making Lava's environment: what is refused, and that nothing half-made stays."""

import pytest

from root.errors import InputError, SimulationError
from spiking.simulators.lava.environment import Environment, default_folder, find, install


def interpreter(folder, version, last_words=""):
    """A program that says it is a Python of `version`, and fails at everything else."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\n[ "$1" = -c ] && echo {version} && exit 0\necho "{last_words}"\nexit 1\n')
    path.chmod(0o755)
    return str(path)


def test_pythons_that_lava_does_not_run_on_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"python: got .*3\.13.*allowed: Python 3\.10, Python 3\.11"):
        install(tmp_path / "lava", interpreter(tmp_path, "3 13"))
    with pytest.raises(InputError, match="an interpreter that starts"):
        install(tmp_path / "lava", str(tmp_path / "nowhere"))
    assert not (tmp_path / "lava").exists()


def test_a_failed_installation_says_why_and_leaves_nothing(tmp_path):
    with pytest.raises(SimulationError, match="no room on the device"):
        install(tmp_path / "lava", interpreter(tmp_path, "3 11", "no room on the device"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lava.lock", "python"]


def test_a_folder_with_something_else_in_it_is_not_touched(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"lava\.folder.*a new folder, an empty one"):
        install(folder, interpreter(tmp_path, "3 11"))
    assert (folder / "thesis.txt").read_text() == "years of work"


def test_a_half_made_one_is_not_found(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    assert not Environment(tmp_path).complete
    (tmp_path / "spiketrain-lava.txt").write_text("made from other requirements")
    with pytest.raises(InputError, match="spiketrain lava install"):
        find(tmp_path)


def test_a_complete_one_is_kept(environment, tmp_path):
    before = (environment.folder / "spiketrain-lava.txt").stat().st_mtime_ns
    assert install(environment.folder, str(tmp_path / "never asked")) == environment
    assert (environment.folder / "spiketrain-lava.txt").stat().st_mtime_ns == before


def test_the_folder_can_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv("SPIKETRAIN_LAVA", str(tmp_path / "here"))
    assert default_folder() == tmp_path / "here"
    monkeypatch.delenv("SPIKETRAIN_LAVA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder().parent == tmp_path / "spiketrain"
