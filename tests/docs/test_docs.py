"""The documentation says what the code does."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import pytest

from beam.config.conf import Conf
from beam.telemetry.metrics import CLOSED, COUNTERS, HISTOGRAMS, OTHER
from rooms.api.error_codes import ErrorCode
from rooms.monitoring.process_stats import GAUGES
from rooms.protocol.close_codes import Close
from rooms.protocol.event_names import RESERVED
from rooms.protocol.reasons import Reason
from tests.processes import ROOT

DOCS = ROOT / "docs"


def rows(page: str) -> list[list[str]]:
    """The cells of all table rows of a page."""
    lines = (DOCS / page).read_text().splitlines()
    table = (line for line in lines if line.startswith("| "))
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


def firsts(page: str) -> set[str]:
    """The first cell of every row, without its back-quotes."""
    return {row[0].strip("` ") for row in rows(page)}


def test_every_reason_has_a_row() -> None:
    assert {str(reason) for reason in Reason} <= firsts("protocol.md")


def test_every_close_code_has_a_row() -> None:
    assert {str(int(code)) for code in Close} <= firsts("protocol.md")


def test_every_error_code_has_a_row_with_its_status() -> None:
    page = (DOCS / "http-api.md").read_text()
    table = page.partition("## Errors")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \| (\d+) \|", table, re.MULTILINE)

    assert documented == [(code, str(code.status)) for code in ErrorCode]


def test_every_end_of_a_connection_is_listed() -> None:
    [line] = [row for row in rows("operations.md") if "`Connection of" in row[0]]
    ends = {*CLOSED.reasons} - {OTHER}

    assert ends <= set(re.findall("`([a-z0-9_]+)`", line[-1]))


def test_every_reserved_event_has_a_row() -> None:
    assert firsts("protocol.md") >= RESERVED


def test_every_setting_has_a_row_with_its_default() -> None:
    defaults = {row[0].strip("` "): row[1] for row in rows("settings.md")}

    for item in fields(Conf):
        assert item.name in defaults
        if isinstance(item.default, int | float):
            assert defaults[item.name] == str(item.default)


def test_every_variable_has_a_row() -> None:
    source = (ROOT / "beam" / "settings.py").read_text()
    read = set(re.findall(r'(?:environ\.get|_flag|_list|_secret)\("([A-Z_]+)"', source))
    documented = (DOCS / "settings.md").read_text()

    assert len(read) > 8
    assert [name for name in read if f"`{name}`" not in documented] == []


def test_every_counter_has_a_row() -> None:
    assert set(COUNTERS) <= firsts("operations.md")


def test_every_gauge_and_histogram_has_a_row() -> None:
    listed = {f"beam_{name}" for name in (*GAUGES, *HISTOGRAMS)}

    assert listed <= firsts("operations.md")


def test_the_dashboard_queries_series_that_exist() -> None:
    text = (DOCS / "grafana.json").read_text()
    asked = set(re.findall(r"\bbeam_\w+", text))
    counters = {f"beam_{name}_total" for name in (*COUNTERS, "cpu_seconds")}
    buckets = {f"beam_{name}_bucket" for name in HISTOGRAMS}
    gauges = {f"beam_{name}" for name in GAUGES}

    assert json.loads(text)["panels"]
    assert asked <= counters | buckets | gauges
    # Nothing that is counted goes unseen.
    assert counters | buckets <= asked


def test_every_failure_is_held_by_a_test_that_exists() -> None:
    page = (DOCS / "operations.md").read_text()
    table = page.partition("## What breaks")[2].partition("## Metrics")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")][1:]

    assert len(lines) > 15
    for line in lines:
        file, name = line.strip("| ").split(" | ")[-1].strip("`").split("::")
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(), line


PAGES = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *(str(page.relative_to(ROOT)) for page in DOCS.rglob("*.md")),
]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()

    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if not link.startswith("http"):
            assert (ROOT / page).parent.joinpath(link).exists(), link


def test_the_readme_lists_every_page() -> None:
    readme = (ROOT / "README.md").read_text()

    assert [p.name for p in DOCS.glob("*.md") if f"docs/{p.name}" not in readme] == []


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def test_the_readme_has_its_examples() -> None:
    assert len(blocks("README.md", "js")) == 1
    assert any("curl" in block for block in blocks("README.md", "sh"))


@pytest.mark.parametrize("language", ["js", "python", "php", "ruby", "go"])
def test_tokens_are_signed_in_every_language(language: str) -> None:
    [program] = blocks("docs/tokens.md", language)

    assert "BEAM_TOKEN_SECRET" in program
