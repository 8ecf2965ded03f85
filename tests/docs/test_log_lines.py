"""Log lines that docs/operations.md quotes are lines that the code writes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.processes import ROOT

PACKAGES = ("beam", "rooms", "presence")
# What a text must have at least for a match to mean something.
MIN_LETTERS = 7
PLACEHOLDER = re.compile(r"%(?:\.\d)?[a-z]|\{[^{}]*\}")
# Django writes these.
OTHERS = ("Internal Server Error: ", "Invalid HTTP_HOST header: ", "Forbidden (CSRF ")


def quoted() -> list[str]:
    """Texts in backticks that begin like a log line, of the two tables with some."""
    page = (ROOT / "docs" / "operations.md").read_text()
    breaks = page.partition("## What breaks")[2].partition("## Metrics")[0]
    logs = page.partition("## Logs")[2].partition("## Security")[0]
    cells = [line.split(" | ")[2] for line in breaks.splitlines() if " | " in line]
    cells += [line.split(" | ")[0] for line in logs.splitlines() if " | " in line]
    found = [
        text for cell in cells for text in re.findall("`([A-Z0-9][^`]* [^`]*)`", cell)
    ]
    return [text for text in found if not text.startswith(OTHERS)]


@cache
def patterns() -> list[re.Pattern[str]]:
    """The texts of the code, with a wildcard for each value."""
    return [
        re.compile(pattern)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for pattern in _texts(ast.parse(path.read_text()))
        if len(re.sub(r"\.\+|\\.|\W", "", pattern)) >= MIN_LETTERS
    ]


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield _pattern(node.value)
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                re.escape(each.value)
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
                else ".+"
                for each in node.values
            )


def _pattern(text: str) -> str:
    return ".+".join(map(re.escape, PLACEHOLDER.split(text)))


def is_written(line: str) -> bool:
    """Whether a text of the code gives this line; `...` stands for anything."""
    begins, dots, _ = line.partition("...")
    if not dots:
        return any(pattern.fullmatch(line) for pattern in patterns())
    return any(
        pattern.match(begins) or _begin(pattern, begins) for pattern in patterns()
    )


def _begin(pattern: re.Pattern[str], begins: str) -> bool:
    """Whether a text begins so, with any values."""
    words = re.split(r"\b(?:[A-Z]+|\d+)\b", begins.strip())
    text = re.sub(r"\\(.)", r"\1", pattern.pattern)
    return re.match(".+".join(map(re.escape, words)), text) is not None


@pytest.mark.parametrize("line", quoted())
def test_a_quoted_log_line_is_written(line: str) -> None:
    assert is_written(line)


def test_a_line_that_is_not_written_is_found() -> None:
    assert len(quoted()) > 20
    assert not is_written("Connections of ada end after 12.3 s: closed_by_client")
