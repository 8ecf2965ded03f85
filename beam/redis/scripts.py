"""Calls Lua scripts by their hash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha1
from typing import Any

from beam.redis import refusals
from beam.redis.command_batch import Batch
from beam.redis.exceptions import CommandFailed


class Script:
    """A Lua script, called by its hash; loaded if Redis does not know it."""

    def __init__(self, sender: Batch, text: str) -> None:
        self._batch = sender
        self._text = text
        self._sha = sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(
        self, keys: tuple[str, ...], args: Sequence[Any] | Callable[[], Sequence[Any]]
    ) -> Any:
        """Return the script's reply. Raises `Unavailable`.

        `args`: a function is called when the command is sent. If the script has to
        be loaded first, commands of other callers are sent before it.
        """
        try:
            return await self._call(keys, args)
        except CommandFailed as error:
            if error.code != refusals.NO_SCRIPT:
                raise
            await self._batch.load(self._text)
            return await self._call(keys, args)

    async def _call(
        self, keys: tuple[str, ...], args: Sequence[Any] | Callable[[], Sequence[Any]]
    ) -> Any:
        args = args() if callable(args) else args
        return await self._batch.call("EVALSHA", self._sha, len(keys), *keys, *args)
