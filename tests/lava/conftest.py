"""Lava's environment, or a skip that says why there is none."""

import os

import pytest

from root.errors import InputError
from spiking.simulators.lava.environment import find


@pytest.fixture(scope="session")
def environment():
    try:
        return find()
    except InputError as error:
        if os.environ.get("SPIKETRAIN_REQUIRE_LAVA"):
            pytest.fail(str(error))
        pytest.skip(str(error))
