"""Decides how many bytes may wait for a client that reads slowly. Pure.

What counts is what stays unread. Everything that one turn of the event loop
produces is accepted. A client is closed if it does not read, or if it reads more
slowly than its rooms send.
"""

from __future__ import annotations

from typing import Final

CEILING: Final = 4
"""How many times the limit may be unread at the start of a turn, plus one turn."""

PROGRESS: Final = 16
"""Which part of the limit a client must read in each period: a sixteenth."""

MOST_PONGS: Final = 100
"""How many pings are answered in each period: of 127 bytes at most."""


class UnreadOutput:
    """A client that has more than `limit` bytes to read, for as long as it has.

    `waiting` is what the server holds for the client, `unread` is that and, where
    it is known, what the system holds. Sockets below the limit have no `UnreadOutput`.
    """

    __slots__ = ("_largest", "_limit", "_pongs", "_taken", "_turn", "_unread")

    def __init__(self, limit: int, waiting: int, unread: int) -> None:
        """The write that exceeded the limit was accepted in the current turn."""
        self._limit = limit
        self._turn = self._largest = waiting
        self._unread = unread
        self._taken = self._pongs = 0

    @property
    def is_in_turn(self) -> bool:
        """Whether a call of `end_turn` is due."""
        return self._turn > 0

    @property
    def ceiling(self) -> int:
        """How many bytes may wait at the start of a turn.

        Grows with the largest turn: a client that was sent a large state has
        that much more time to read it.
        """
        return CEILING * self._limit + self._largest

    def takes(self, waiting: int, size: int) -> bool:
        """Whether `size` more bytes may wait; if so they are counted.

        The first write of a turn decides for the whole turn.
        """
        if not self._turn and waiting > self.ceiling:
            return False
        self._turn += size
        self._taken += size
        return True

    def takes_pong(self) -> bool:
        """Whether one more ping is answered in this period."""
        self._pongs += 1
        return self._pongs <= MOST_PONGS

    def end_turn(self) -> None:
        """The event loop had a turn in which the client could be written to."""
        self._largest = max(self._largest, self._turn)
        self._turn = 0

    def end_period(self, unread: int) -> bool:
        """Whether the client has read enough since the last call; begins a period."""
        read = self._unread + self._taken - unread
        self._unread = unread
        self._taken = self._pongs = 0
        return read >= max(1, self._limit // PROGRESS)
