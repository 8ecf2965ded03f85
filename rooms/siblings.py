"""Owns how the processes behind one socket know each other's figures.

Whoever asks for `/metrics` reaches any of them and is to see all. Each writes a
file a second into a folder that the supervisor made; no Redis is needed, which
may be what is wrong.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

import orjson

from rooms import figures
from rooms.connections import connections
from rooms.figures import Figures

logger = logging.getLogger(__name__)

# Figures this old are of a process that is gone.
STALE_SECONDS: Final = 10.0


class Siblings:
    """The processes behind this process's socket, by number; alone at first."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._number = 1
        self._failed = False

    def join(self, folder: Path, number: int) -> None:
        """Be one of several from now on."""
        self._folder, self._number = folder, number

    def write(self, own: Figures) -> None:
        """Let the others know. One that drains has a successor, which writes."""
        if self._folder is None or connections.draining:
            return
        path = self._folder / f"{self._number}.json"
        fresh = path.with_suffix(".new")
        try:
            fresh.write_bytes(orjson.dumps(asdict(own)))
            fresh.replace(path)
        except OSError as error:
            if not self._failed:
                logger.warning("The other processes do not see my figures: %s", error)
            self._failed = True
        else:
            self._failed = False

    def everyone(self) -> dict[int, Figures]:
        """The figures of all, by number: this process's as of now."""
        found = {self._number: figures.take()}
        if self._folder is not None:
            for path in self._folder.glob("*.json"):
                if (number := int(path.stem)) != self._number:
                    self._read(path, number, found)
        return dict(sorted(found.items()))

    @staticmethod
    def _read(path: Path, number: int, found: dict[int, Figures]) -> None:
        try:
            told = figures.from_json(orjson.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            logger.warning(
                "The figures of process %d cannot be read: %s", number, error
            )
            return
        if time.time() - told.at < STALE_SECONDS:
            found[number] = told


siblings = Siblings()
