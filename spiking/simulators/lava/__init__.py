"""Lava: the client here, the runtime in ``runtime/``, which runs in an environment of Lava's own.

Nothing of Lava is ever imported by the project itself.
"""
