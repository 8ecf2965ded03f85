"""Shares statistics between the processes of this host.

A request of `/metrics` reaches any of them, and must get the statistics of all. Each
process writes a file every second, into a folder that the supervisor made. This works
without Redis, which may be what failed. A process that drains has a successor with its
number, and continues under another label.
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

# A process whose statistics are older is gone.
STALE_SECONDS: Final = 10.0
# The end of the label of a process that drains. Its last statistics are kept until
# `/metrics` was requested: they contain the ends of its connections.
OLD: Final = "-old"
OLD_SECONDS: Final = 60.0


class HostProcesses:
    """The processes of this host, by label. At first only this one."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._label = "1"
        self._failed = False
        self._unread: set[str] = set()

    def join(self, folder: Path, number: int) -> None:
        """Share statistics in this folder, as the process with this number."""
        self._folder, self._label = folder, str(number)

    def write(self, own: ProcessStats) -> None:
        """Write the statistics of this process for all processes of this host."""
        if self._folder is None:
            return
        try:
            if connections().is_draining and not self._label.endswith(OLD):
                self._retire(self._folder, own)
            # Renamed, since the successor may write to the same name.
            fresh = self._folder / f"{os.getpid()}.new"
            fresh.write_bytes(orjson.dumps(asdict(own)))
            fresh.replace(self._folder / f"{self._label}.json")
        except OSError as error:
            if not self._failed:
                logger.warning("Cannot share the statistics of this process: %s", error)
            self._failed = True
        else:
            self._failed = False

    def _retire(self, folder: Path, own: ProcessStats) -> None:
        """Change the label. The successor may have written a file already."""
        file, self._label = folder / f"{self._label}.json", f"{self._label}{OLD}"
        stats = self._read(file)
        if stats is not None and _started(stats) == _started(own):
            file.replace(folder / f"{self._label}.json")

    def all_stats(self) -> dict[str, ProcessStats]:
        """The statistics of all processes of this host, by label, as last written.

        Those of this process too, so that every process answers the same. They are
        current only if it has not written any yet.
        """
        found = {}
        if self._folder is not None:
            for file in sorted(self._folder.glob("*.json")):
                if (stats := self._read(file)) is not None:
                    found[file.stem] = stats
        return (
            found
            if self._label in found
            else found | {self._label: process_stats.current()}
        )

    def _read(self, file: Path) -> ProcessStats | None:
        """The statistics in a file; None if the process is gone or they are invalid."""
        try:
            stats = stats_json.from_json(orjson.loads(file.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            if file.stem not in self._unread:
                text = "Cannot read the statistics of process %s: %s"
                logger.warning(text, file.stem, error)
            self._unread.add(file.stem)
            return None
        self._unread.discard(file.stem)
        limit = OLD_SECONDS if file.stem.endswith(OLD) else STALE_SECONDS
        return stats if time.time() - stats.at < limit else None


def _started(stats: ProcessStats) -> float | None:
    return stats.gauges.get("start_time_seconds")


host_processes = HostProcesses()
