"""Lava processes and their models, one concept a file; all their numbers lie in shared memory.

Every process keeps its state in arrays that the runtime reads between two runs, carries blocks of
``(chips, batch, neurons)`` through its ports, and has a model in floating point (tag ``floating_pt``)
and one in Loihi's integers (tag ``fixed_pt``).
"""
