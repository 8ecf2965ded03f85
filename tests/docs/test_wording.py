"""The word list finds words in prose, and leaves code alone."""

from __future__ import annotations

import pytest

from tests.docs.wording import ROOT, find, tracked, words

LISTED = {"anew": "again", "of late": "recently"}


@pytest.mark.parametrize(
    ("file", "text", "lines"),
    [
        ("a.md", "Begins anew.\n\nOf late,\nanew.\n", [1, 3, 4]),
        ("a.md", "The option `anew` and\n```\nanew\n```\n", []),
        ("a.py", '"""Begins\n\nanew."""\n', [3]),
        ("a.py", "x = 1  # begins anew\n", [1]),
        ("a.py", 'anew = settings["anew"]\n', []),
        ("a.py", 'log("It begins %s anew", x)\n', [1]),
        ("a.py", "def test_it_begins_anew(): ...\n", [1]),
        ("a.py", 'f"it begins {anew}"\n', []),
        ("a.py", "# The command `anew` begins.\n", []),
        ("a.lua", "-- begins anew\n", [1]),
        ("a.md", "renewed, anew-ish\n", []),
        ("a.md", "It was seen of\nlate.\n", [1]),
        ("Makefile", "run:  ## Begin anew\n", [1]),
        ("a.toml", 'anew = "of late"  # begins anew\nanew = 1\n', [1]),
        ("a.json", '{\n"title": "Begins anew",\n"expr": "anew"\n}\n', [2]),
    ],
)
def test_listed_words_are_found_in_prose_only(
    file: str, text: str, lines: list[int]
) -> None:
    assert [found.line for found in find(file, text, LISTED)] == lines


def test_no_text_has_a_listed_word() -> None:
    listed = words()
    texts = {name: (ROOT / name).read_text() for name in tracked()}

    found = [str(each) for name in texts for each in find(name, texts[name], listed)]

    assert found == []


def test_a_report_names_what_to_write() -> None:
    (found,) = find("docs/a.md", "Begins anew.", LISTED)

    assert str(found) == "docs/a.md:1: 'anew'; write: again"
