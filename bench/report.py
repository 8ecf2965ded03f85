"""Writes the results of a run: JSON, tables in Markdown, plots in SVG."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pygal

from bench import targets
from bench.scenario import Result

# A bar this many times as long as the shortest makes the others invisible.
DWARFING = 40
RESULTS = Path(__file__).resolve().parent / "results"
COLUMNS = {
    "cpu_us": ("CPU us per unit", ",.2f"),
    "cpu_us_per_join": ("CPU us per join", ",.0f"),
    "units_per_second": ("units/s", ",.0f"),
    "joins_per_second": ("joins/s", ",.0f"),
    "rss_bytes_per_connection": ("bytes per socket", ",.0f"),
    "p50_ms": ("p50 ms", ".2f"),
    "p99_ms": ("p99 ms", ".2f"),
    "p999_ms": ("p99.9 ms", ".2f"),
    "frames_per_member": ("frames per member", ",.1f"),
    "bytes_per_join": ("bytes per joining member", ",.0f"),
    "memory_growth_bytes": ("memory growth, bytes", ",.0f"),
    "sockets_closed": ("sockets closed", ",.0f"),
}


def line(result: Result) -> str:
    """One line about a result."""
    if result.wrong:
        return f"    {result.peer:20} NOT MEASURED: {result.wrong}"
    figures = (
        f"{title} {format(result.figures[name], how)}"
        for name, (title, how) in COLUMNS.items()
        if name in result.figures
    )
    text = f"    {result.peer:20} " + "  ".join(figures)
    if result.figures.get("generator_busy", 0) > 0.9:
        text += "  (the generator was the bottleneck)"
    return text


def verdicts(results: list[Result]) -> list[str]:
    """A line for each target: its limit, the measurement, and whether it is met."""
    return [
        f"{verdict:10} {row}: {value} ({bound})"
        for row, bound, value, verdict in targets.table(results)
    ]


def write(results: list[Result], about: dict[str, Any], *, short: bool) -> Path:
    """Write all forms under `bench/results/`; the path of the Markdown."""
    RESULTS.mkdir(exist_ok=True)
    stem = "short" if short else "full"
    about = about | {"results": [asdict(result) for result in results]}
    (RESULTS / f"{stem}.json").write_text(json.dumps(about, indent=1) + "\n")
    path = RESULTS / f"{stem}.md"
    path.write_text(_markdown(results, about))
    for scenario in _scenarios(results):
        _plot(scenario, [r for r in results if r.scenario == scenario], stem)
    return path


def updated(results: list[Result], *, short: bool) -> tuple[list[Result], str]:
    """The recorded results with some scenarios replaced, and their command."""
    path = RESULTS / f"{'short' if short else 'full'}.json"
    recorded = json.loads(path.read_text())
    known = [Result(**one) for one in recorded["results"]]
    merged: list[Result] = []
    for scenario in _scenarios([*known, *results]):
        fresh = [result for result in results if result.scenario == scenario]
        merged += fresh or [r for r in known if r.scenario == scenario]
    return merged, recorded["command"]


def _scenarios(results: Iterable[Result]) -> list[str]:
    return list(dict.fromkeys(result.scenario for result in results))


def _markdown(results: list[Result], about: dict[str, Any]) -> str:
    parts = [
        "# Results\n\n"
        f"`{about['command']}`: medians of {about['runs']}, {about['machine']}, "
        f"Python {about['python']}.\n",
        "\n## Targets\n\n",
        _rows([["", "bound", "measured", ""], *targets.table(results)]),
    ]
    for scenario in _scenarios(results):
        mine = [result for result in results if result.scenario == scenario]
        parts.append(f"\n## {scenario}\n\n{_table(mine)}")
    return "".join(parts)


def _table(results: list[Result]) -> str:
    names = [n for n in COLUMNS if any(n in result.figures for result in results)]
    units = results[0].unit.replace("delivery", "deliverie") + "s/s"
    titles = [
        COLUMNS[name][0].replace("units/s", units).replace("unit", results[0].unit)
        for name in names
    ]
    rows = [[result.peer, *_cells(result, names)] for result in results]
    return _rows([["", *titles], *rows])


def _rows(rows: list[list[str]]) -> str:
    head, *rest = rows
    lines = [head, ["---"] * len(head), *rest]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


def _cells(result: Result, names: list[str]) -> list[str]:
    if result.wrong:
        return [f"not measured: {result.wrong}"] + [""] * (len(names) - 1)
    values = result.figures
    return [format(values[n], COLUMNS[n][1]) if n in values else "" for n in names]


def _plot(scenario: str, results: list[Result], stem: str) -> None:
    """CPU per unit or per join, as bars; values off the scale are in the title."""
    name = "cpu_us" if "cpu_us" in results[0].figures else "cpu_us_per_join"
    values = {r.peer: r.figures[name] for r in results if not r.wrong}
    most = DWARFING * min(values.values(), default=0.0)
    dwarfing = {peer: value for peer, value in values.items() if value > most > 0}
    off = "".join(f" ({p}: {v:,.0f}, off the scale)" for p, v in dwarfing.items())
    chart = pygal.HorizontalBar(
        title=scenario + off,
        x_title=f"CPU microseconds per {results[0].unit}, less is better",
        height=120 + 40 * len(results),
        print_values=True,
        print_values_position="top",
        value_formatter=lambda value: f"{value:,.2f}",
        js=(),
        disable_xml_declaration=True,
    )
    for peer, value in values.items():
        if peer not in dwarfing:
            chart.add(peer, value)
    word = "".join(c if c.isalnum() else "-" for c in scenario.lower())
    (RESULTS / f"{stem}-{word}.svg").write_text(chart.render(is_unicode=True))
