"""Finds words of a list in texts that people read.

`python -m tests.docs.wording [FILE ...]` prints them. The list is
`[tool.beam.wording]` of `pyproject.toml`: a word or phrase, and what to write.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
# Files whose whole text is prose, markup included.
PROSE = {".md", ".html", ".lua", ".js", ".mjs", ".txt", ".yml", ".sh", ""}
PARTS = {".py", ".toml", ".json"}
LEFT_OUT = re.compile(
    r"(^|/)(requirements[^/]*\.txt|package[^/]*\.json|vectors\.json|results/[^/]*\.json"
    r"|LICENSE|\.gitignore|migrations/|static/.*\.min\.js|docs/test_wording\.py)"
)
# Code in prose: names in backticks are checked where they are defined.
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


class Found(NamedTuple):
    """A listed word: where it stands, and what to write instead."""

    file: str
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.word!r}; write: {self.instead}"


def words(root: Path = ROOT) -> dict[str, str]:
    """The listed words, each with its replacement."""
    table = tomllib.loads((root / "pyproject.toml").read_text())
    return dict(table["tool"]["beam"]["wording"])


def find(file: str, text: str, listed: dict[str, str]) -> Iterator[Found]:
    """The listed words in the prose of one file."""
    # The words of a phrase may be on two lines.
    phrases = (r"\s+".join(map(re.escape, each.split())) for each in listed)
    pattern = re.compile(rf"(?<![\w-])({'|'.join(phrases)})(?![\w-])", re.IGNORECASE)
    for line, prose in _prose(file, text):
        for match in pattern.finditer(prose):
            at = line + prose[: match.start()].count("\n")
            word = " ".join(match.group(1).lower().split())
            yield Found(file, at, word, listed[word])


def _prose(file: str, text: str) -> Iterable[tuple[int, str]]:
    """Pieces of prose with the line on which each begins."""
    if file.endswith(".py"):
        return _python_prose(text)
    if file.endswith(".toml"):
        return _comments(text)
    if file.endswith(".json"):
        return _titles(text)
    if file.endswith(".md"):
        text = CODE.sub(lambda code: re.sub(r"[^\n]", " ", code.group()), text)
    return [(1, text)]


def _python_prose(text: str) -> Iterator[tuple[int, str]]:
    """Comments, strings of several words (docstrings, log texts), names of tests."""
    kinds = {tokenize.COMMENT, tokenize.STRING}
    # Python 3.12 splits f-strings into parts.
    kinds |= {getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in kinds and re.search(r"\s", token.string):
            yield token.start[0], _without_code(token.string)
        elif token.type == tokenize.NAME and token.string.startswith("test_"):
            yield token.start[0], token.string.replace("_", " ")


def _without_code(text: str) -> str:
    """A string without names in backticks, and without expressions of an f-string."""
    text = CODE.sub("", text)
    return re.sub(r"\{[^{}]*\}", "", text) if text[0] in "fF" else text


def _comments(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if "#" in line:
            yield number, line.partition("#")[2]


def _titles(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r'"(title|description|name|legendFormat)":', line):
            yield number, line


def tracked(root: Path = ROOT) -> list[str]:
    """The files of the repository that hold prose."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True
    )
    return [
        name
        for name in listed.stdout.splitlines()
        if Path(name).suffix in PROSE | PARTS and not LEFT_OUT.search(name)
    ]


def main(files: list[str]) -> int:
    """Print what was found; the exit status says whether there was anything."""
    listed = words()
    found = [
        each
        for name in files or tracked()
        for each in find(name, (ROOT / name).read_text(), listed)
    ]
    print(*found, sep="\n")  # noqa: T201 - its output
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
