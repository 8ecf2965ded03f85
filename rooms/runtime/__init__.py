"""Starts, connects, recovers and drains the parts of one process."""

from rooms.runtime.lifecycle import Runtime, runtime
from rooms.runtime.processes import processes

__all__ = ["Runtime", "processes", "runtime"]
