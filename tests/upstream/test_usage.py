"""Every private name of another library in Beam's code has a test in this package."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.upstream import usage
from tests.upstream.relied_on import CHECKED, relies_on

FOLDER = Path(__file__).parent


@pytest.fixture(scope="module")
def checked() -> set[str]:
    """The names that the tests of this package check."""
    for path in FOLDER.glob("test_*.py"):
        import_module(f"{__package__}.{path.stem}")
    return {name for names in CHECKED.values() for name in names}


@pytest.fixture(scope="module")
def used() -> dict[str, list[str]]:
    """The private names that the code uses, each with its modules."""
    command = [sys.executable, "-m", usage.__name__]
    found = subprocess.run(command, cwd=usage.ROOT, check=True, stdout=subprocess.PIPE)
    names: dict[str, list[str]] = json.loads(found.stdout)
    return names


def test_every_private_name_in_the_code_is_checked(
    checked: set[str], used: dict[str, list[str]]
) -> None:
    unchecked = {name: at for name, at in used.items() if name not in checked}

    assert not unchecked, (
        f"Beam uses private names that no test in {__package__} checks. Use a public "
        f"interface, or add a test with @relies_on: {unchecked}"
    )


def test_every_checked_name_is_used_in_the_code(checked: set[str]) -> None:
    unused = sorted(name for name in checked if not usage.places(name))

    assert not unused, f"Beam no longer uses these names; remove their tests: {unused}"


@pytest.mark.usefixtures("checked")
def test_every_checked_library_is_required_with_an_upper_bound() -> None:
    bounded = set(_bounded())

    unbounded = sorted(CHECKED.keys() - bounded)

    assert not unbounded, f"pyproject.toml needs an upper bound for these: {unbounded}"


def _bounded() -> Iterator[str]:
    text = (usage.ROOT / "pyproject.toml").read_text()
    for requirement in tomllib.loads(text)["project"]["dependencies"]:
        if found := re.match(r"([a-z0-9-]+)(\[\w+\])?\S*,<\d", requirement):
            yield found[1]


def test_a_failure_says_what_beam_does_with_the_name_and_where(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.upstream.relied_on.CHECKED", {})

    @relies_on("django", "load_middleware", to="answer the API")
    def fails() -> None:
        raise AttributeError

    with pytest.raises(AssertionError) as failure:
        fails()

    assert re.fullmatch(
        r"django 5\.2\.\d+ has changed load_middleware, which Beam uses to answer the "
        r"API\. See beam/server/api_handler\.py\.",
        str(failure.value),
    )


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import redis._parsers", {"_parsers"}),
        ("from redis._parsers.hiredis import A", {"_parsers"}),
        ("from psycopg.errors import _WaitTimeout", {"_WaitTimeout"}),
        ("thing._name", {"_name"}),
        ("thing._name = 1", {"_name"}),
        ("getattr(thing, '_name', None)", {"_name"}),
        ("vars(thing)['_name']", {"_name"}),
        ("thing.part._name()", {"_name"}),
        ("from beam import _own", set()),
        ("thing.__class__", set()),
        ("thing._replace(a=1)", set()),
        ("def _name(): ...\nthing._name", set()),
    ],
)
def test_private_names_are_found_in_code(
    code: str, names: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = {Path("beam/__init__.py"): ast.parse(code)}
    monkeypatch.setattr(usage, "modules", lambda: parsed)

    assert usage.private_names().keys() == names


def test_names_that_a_class_shares_with_its_base_class_are_found(
    used: dict[str, list[str]],
) -> None:
    assert used["_respondToBadRequestAndDisconnect"] == ["beam/server/http.py"]
