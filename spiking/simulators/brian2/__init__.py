"""The Brian2 simulator: equations, compiled once for every structure of a network.

A program is built by a process of its own, which imports `build` and Brian2, and neither PyTorch nor
`simulator`: so it is ready a second or two sooner.
"""
