"""Names of modules, classes, functions and files in the docs exist."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs.wording import tracked
from tests.processes import ROOT

PAGES = [page for page in tracked() if page.endswith(".md")]
PACKAGES = ("beam", "rooms", "presence", "tests", "bench", "clients", "docs")
SPANS = re.compile(r"```.*?```|`([^`\n]+)`", re.DOTALL)
DOTTED = re.compile(rf"({'|'.join(PACKAGES)})(\.\w+)+")
FOLDER = re.compile(rf"({'|'.join(PACKAGES)})(/[\w.-]+)+/?")
FILE = re.compile(r"[\w-]+\.(py|lua|js|mjs|html|css|md|toml)")
# Ids of checks, types of messages, permissions, hosts, files of examples.
OTHERS = re.compile(
    r"beam\.[EW]\d+|beam\.bundle|rooms\.\w+_(room|apikey)|beam\.example\.com.*"
    r"|(tokens|hello)\.mjs"
)


@cache
def files() -> set[str]:
    """The names of all files, without their folders."""
    return {Path(name).name for name in tracked()}


def module(name: str) -> ModuleType | None:
    """The module, or None if it does not exist."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None


def is_importable(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of something in one."""
    if module(name) is not None:
        return True
    parent, _, attribute = name.rpartition(".")
    return bool(parent) and hasattr(_resolve(parent), attribute)


def _resolve(name: str) -> object:
    if (found := module(name)) is not None:
        return found
    parent, _, attribute = name.rpartition(".")
    return getattr(_resolve(parent), attribute, None) if parent else None


def exists(name: str) -> bool:
    """Whether a name that looks like one of this repository is in it."""
    if OTHERS.fullmatch(name) or name in files():
        return True
    if DOTTED.fullmatch(name):
        return is_importable(name)
    if FOLDER.fullmatch(name):
        return (ROOT / name).exists()
    return FILE.fullmatch(name) is None


@pytest.mark.parametrize("page", PAGES)
def test_names_in_the_docs_exist(page: str) -> None:
    spans = SPANS.findall((ROOT / page).read_text())
    names = {name.removesuffix("()") for name in spans}

    assert sorted(name for name in names if not exists(name)) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rooms.protocol", True),
        ("rooms.protocol.reasons.Reason.UNAVAILABLE", True),
        ("rooms.protocol.nothing", False),
        ("beam/server", True),
        ("beam/server/nothing.py", False),
        ("supervisor.py", True),
        ("nothing.py", False),
        ("beam.E001", True),
        ("max_concurrent_pages", True),
    ],
)
def test_a_missing_name_is_found(name: str, expected: bool) -> None:
    assert exists(name) is expected
