"""Keeps one object per event loop, or per `settings.BEAM`.

A process has one event loop, but each test has its own. Objects that refer to their
loop, as most do, are kept until the process ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from django.core.signals import setting_changed

T = TypeVar("T")


class PerLoop(Generic[T]):
    """A function without arguments, whose result is kept for each event loop.

    Made by `@per_loop`. A call outside an event loop raises `RuntimeError`.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        """`made`: the results by loop."""
        self._make = make
        self.made: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()

    def __call__(self) -> T:
        """The object of the running loop, created by the first call."""
        loop = asyncio.get_running_loop()
        if (made := self.made.get(loop)) is None:
            made = self.made[loop] = self._make()
        return made

    def put(self, made: T) -> T:
        """Use another object for the running loop from now on, as tests do."""
        self.made[asyncio.get_running_loop()] = made
        return made

    def pop(self) -> T | None:
        """Remove and return the object of the running loop, or None."""
        return self.made.pop(asyncio.get_running_loop(), None)


def per_loop(make: Callable[[], T]) -> PerLoop[T]:
    """Decorator: keep the result of a function for each event loop."""
    made = PerLoop(make)
    made.__doc__ = make.__doc__
    return made


def per_settings(make: Callable[[], T]) -> Callable[[], T]:
    """Decorator: keep the result of a function until `settings.BEAM` changes."""
    kept = cache(make)

    def forget(*, setting: str, **_: Any) -> None:
        if setting == "BEAM":
            kept.cache_clear()

    # A weak reference would be lost: nothing else refers to the receiver.
    setting_changed.connect(forget, weak=False)
    return kept


def not_cancelled() -> bool:
    """Whether the current task has not been cancelled: for loops that never end.

    A library may replace the cancellation by an exception of its own: redis-py does
    if it fails to close a connection during the cancellation.
    """
    task = asyncio.current_task()
    return task is None or not task.cancelling()
