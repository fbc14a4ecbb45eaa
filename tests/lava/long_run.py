"""A client with a long run under way: ``python long_run.py FOLDER`` tells what there is, then goes on."""

import sys
from pathlib import Path

from spiking.simulators.lava.client import Client
from spiking.simulators.lava.environment import Environment
from spiking.simulators.lava.probe import single_neuron

client = Client(Environment(Path(sys.argv[1])), limit_s=30)


def tell(done: int, steps: int) -> None:
    print(client.token, client.folder, flush=True)


client.run(*single_neuron(200_000), tell)
