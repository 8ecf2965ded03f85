"""Fakes of parts of a process, for tests that need no database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from rooms.records.upkeep import Upkeep


async def _closed() -> bool:
    return True


class IdleUpkeep(Upkeep):
    """Upkeep that does not use the database.

    `close`: called in place of `close_rooms`. `reads_overrides`: changes of settings
    of single rooms are read from the database all the same.
    """

    def __init__(
        self,
        close: Callable[[], Awaitable[bool]] = _closed,
        *,
        reads_overrides: bool = False,
    ) -> None:
        super().__init__()
        self._close = close
        self._reads_overrides = reads_overrides

    def start(self) -> None:
        """Write nothing."""

    async def close_rooms(self) -> bool:
        return await self._close()

    async def overrides_changed(self, changes: dict[str, Any]) -> None:
        if self._reads_overrides:
            await super().overrides_changed(changes)
