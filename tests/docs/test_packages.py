"""The docstring of every package lists its modules, one line each."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.processes import ROOT

ROOTS = ("beam", "rooms", "presence")
ITEM = re.compile(r"^- `(\w+)`: \S.*$", re.MULTILINE)
# The names of its modules are numbers.
NOT_LISTED = {"rooms/migrations"}


def packages() -> list[str]:
    """The paths of all packages below the repository."""
    inits = (path for root in ROOTS for path in (ROOT / root).rglob("__init__.py"))
    found = {path.parent.relative_to(ROOT).as_posix() for path in inits}
    return sorted(found - NOT_LISTED)


def contents(package: Path) -> list[str]:
    """The modules and packages that are directly in a package, sorted."""
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    return sorted(
        modules | {path.parent.name for path in package.glob("*/__init__.py")}
    )


@pytest.mark.parametrize("package", packages())
def test_a_package_lists_its_modules_in_order(package: str) -> None:
    tree = ast.parse((ROOT / package / "__init__.py").read_text())

    assert ITEM.findall(ast.get_docstring(tree) or "") == contents(ROOT / package)


def test_packages_are_found() -> None:
    assert {"rooms/api", "beam/redis", "presence"} <= set(packages())
