"""From a YAML file to a frozen, validated description of an experiment."""

from spiketrain.config.experiment import Experiment, load_experiment
from spiketrain.config.finding import find_config, shipped
from spiketrain.config.schema import json_schema
from spiketrain.reading import dump_yaml

__all__ = ["Experiment", "dump_yaml", "find_config", "json_schema", "load_experiment", "shipped"]
