"""Closes the HTTP server that Dask starts with every process: nobody looks at its pages.

Workers load this module by name (Dask calls such modules *preloads*), the driver calls `close_http`.
"""

from __future__ import annotations

from typing import Any

__all__ = ["close_http", "dask_setup"]


async def close_http(server: Any) -> None:
    """Close the HTTP server of a scheduler or a worker."""
    server.http_server.stop()


async def dask_setup(worker: Any) -> None:
    """What Dask calls in a new worker."""
    await close_http(worker)
