"""`relies_on`: marks a test as the one that checks an undocumented name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from importlib.metadata import version
from typing import Any, Final, NoReturn

import pytest

from tests.upstream.usage import places

Test = Callable[..., Any]
FAILURES: Final = (Exception, pytest.fail.Exception)

CHECKED: Final[dict[str, tuple[str, ...]]] = {}
"""The names that tests check, by the library that defines them."""


def relies_on(library: str, *names: str, to: str) -> Callable[[Test], Test]:
    """Mark a test of what Beam uses of a library.

    `library`: its name on PyPI. `names`: undocumented functions and attributes.
    `to`: what Beam does with them: "Beam uses them to ...". An error in the test
    becomes a failure with that sentence.
    """
    CHECKED[library] = (*CHECKED.get(library, ()), *names)

    def mark(test: Test) -> Test:
        @wraps(test)
        def run(*args: Any, **kwargs: Any) -> None:
            try:
                test(*args, **kwargs)
            except FAILURES as error:
                _fail(library, names, to, error)

        @wraps(test)
        async def run_async(*args: Any, **kwargs: Any) -> None:
            try:
                await test(*args, **kwargs)
            except FAILURES as error:
                _fail(library, names, to, error)

        return run_async if inspect.iscoroutinefunction(test) else run

    return mark


def _fail(
    library: str, names: tuple[str, ...], to: str, error: BaseException
) -> NoReturn:
    raise AssertionError(
        f"{library} {version(library)} has changed {', '.join(names)}, which Beam "
        f"uses to {to}. See {', '.join(places(*names))}."
    ) from error
