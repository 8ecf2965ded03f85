"""Owns how the processes behind one socket know each other's figures.

Whoever asks for `/metrics` reaches any of them and is to see all. Each writes a
file a second into a folder that the supervisor made; no Redis is needed, which
may be what is wrong. A process that drains has a successor of its number already,
and goes on under a name of its own.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

import orjson

from rooms.messaging.connections import connections
from rooms.monitoring import process_stats, stats_json
from rooms.monitoring.process_stats import ProcessStats

logger = logging.getLogger(__name__)

# Figures this old are of a process that is gone.
STALE_SECONDS: Final = 10.0
# What the label of a process that drains ends with. Its last figures stay for as
# long as it takes to be asked for them: the ends of its connections are in there.
OLD: Final = "-old"
OLD_SECONDS: Final = 60.0


class HostProcesses:
    """The processes behind this process's socket, by label; alone at first."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._label = "1"
        self._failed = False
        self._unread: set[str] = set()

    def join(self, folder: Path, number: int) -> None:
        """Be one of several from now on."""
        self._folder, self._label = folder, str(number)

    def write(self, own: ProcessStats) -> None:
        """Let the others know, and whoever asks here."""
        if self._folder is None:
            return
        try:
            if connections.draining and not self._label.endswith(OLD):
                self._retire(self._folder, own)
            # A successor writes at the same time.
            fresh = self._folder / f"{os.getpid()}.new"
            fresh.write_bytes(orjson.dumps(asdict(own)))
            fresh.replace(self._folder / f"{self._label}.json")
        except OSError as error:
            if not self._failed:
                logger.warning("The other processes do not see my figures: %s", error)
            self._failed = True
        else:
            self._failed = False

    def _retire(self, folder: Path, own: ProcessStats) -> None:
        """Leave the number to the successor, whose file may be there already."""
        file, self._label = folder / f"{self._label}.json", f"{self._label}{OLD}"
        told = self._read(file)
        if told is not None and _started(told) == _started(own):
            file.replace(folder / f"{self._label}.json")

    def all_stats(self) -> dict[str, ProcessStats]:
        """The figures of all, by label, as they were last written.

        This process's too: what is told must not depend on who is asked. Only what
        it has yet to write is of now.
        """
        found = {}
        if self._folder is not None:
            for file in sorted(self._folder.glob("*.json")):
                if (told := self._read(file)) is not None:
                    found[file.stem] = told
        return (
            found
            if self._label in found
            else found | {self._label: process_stats.current()}
        )

    def _read(self, file: Path) -> ProcessStats | None:
        """What a process told; None where it is gone, or cannot be understood."""
        try:
            told = stats_json.from_json(orjson.loads(file.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            if file.stem not in self._unread:
                text = "The figures of process %s cannot be read: %s"
                logger.warning(text, file.stem, error)
            self._unread.add(file.stem)
            return None
        self._unread.discard(file.stem)
        limit = OLD_SECONDS if file.stem.endswith(OLD) else STALE_SECONDS
        return told if time.time() - told.at < limit else None


def _started(told: ProcessStats) -> float | None:
    return told.gauges.get("start_time_seconds")


host_processes = HostProcesses()
