"""What runs inside Lava's own environment: NumPy and Lava, nothing else.

The modules import each other relatively, because here the package is called ``runtime``.
"""
