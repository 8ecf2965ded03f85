"""Calls Lua scripts by their hash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha1
from typing import Any

from beam.redis import refusals
from beam.redis.batch import Batch
from beam.redis.exceptions import CommandFailed


class Script:
    """A Lua script, called by its hash; Redis is told the text where it asks."""

    def __init__(self, sender: Batch, text: str) -> None:
        self._batch = sender
        self._text = text
        self._sha = sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(
        self, keys: tuple[str, ...], args: Sequence[Any] | Callable[[], Sequence[Any]]
    ) -> Any:
        """The script's answer. Raises `Unavailable`.

        `args`: a function where they must be those of the moment. Where Redis has
        to be told the script, what others ask meanwhile overtakes it.
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
