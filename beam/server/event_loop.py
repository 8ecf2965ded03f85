"""Chooses the server's event loop: uvloop's, and Twisted's reactor on it.

Import this module before anything that imports Twisted's reactor.
"""

from __future__ import annotations

try:
    import uvloop
except ImportError:  # pragma: no cover - Windows
    pass
else:
    # Before daphne.server, which makes the loop when it is imported.
    uvloop.install()

from daphne.server import twisted_loop

__all__ = ["twisted_loop"]
