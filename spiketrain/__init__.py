"""The front door: the only place where tasks, chips, simulators and rules meet."""
