"""The table of claims × models for a terminal, as Markdown, as HTML and as JSON."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

import rich.table
from rich.console import Group, RenderableType
from rich.table import Column
from rich.text import Text

from optim_hunter.evidence import fragment
from optim_hunter.evidence.text import visible
from optim_hunter.generality.table import Cell, Row, Table

COLOURS: Mapping[str, str] = {"supported": "green", "refuted": "red", "inconclusive": "", "invalid": "magenta"}
KEPT = ("protocol", "verdict", "sentence", "decisive_condition", "effect", "interval", "unit", "smallest_effect", "n",
        "alpha", "p_adjusted", "p_refuted_adjusted", "at_registered_seeds", "registration", "reanalysis",
        "definition_hash")  # fmt: skip
"""What the JSON keeps of a ledger's entry."""


NARROWEST = 16
"""Characters of a terminal's column below which ids and verdicts fall apart."""


def terminal(table: Table, width: int) -> RenderableType:
    """The table for a terminal of so many characters; a list of the same where its columns would be too narrow."""
    if width < NARROWEST * (1 + len(table.models)):
        return Group(*(_block(row, table) for row in table.rows))
    shown = rich.table.Table(Column("claim", overflow="fold"), show_lines=True)
    for model in table.models:
        shown.add_column(Text(visible(model)), overflow="fold")
    for row in table.rows:
        shown.add_row(Text(_title(row)), *(_coloured(row, model, table) for model in table.models))
    return shown


def _block(row: Row, table: Table) -> Text:
    """A claim, and a line for each verdict on a model, or for why there is none."""
    text = Text(f"{_title(row)}\n", overflow="fold")
    for model in table.models:
        for one in row.findings(model):
            text.append(f"  {visible(model)}: ")
            text.append(visible(one.heading), style=f"bold {COLOURS[one.verdict]}")
            text.append(f", {visible(table.in_cell(one.found))}\n")
        if not row.findings(model):
            text.append(f"  {visible(model)}: – {visible(table.in_cell(row.cells[model].reason))}\n", style="dim")
    return text


def _title(row: Row) -> str:
    return visible("\n".join((f"{'↳ ' if row.below else ''}{row.claim}", *row.quantities)))


def _coloured(row: Row, model: str, table: Table) -> Text:
    text = Text(visible(table.in_cell(row.cells[model].reason)), style="dim")
    for place, one in enumerate(row.findings(model)):
        text.append("\n" if place else "")
        text.append(visible(one.heading), style=f"bold {COLOURS[one.verdict]} not dim")
        text.append(f"\n{visible(table.in_cell(one.found))}", style="not dim")
    return text


def markdown(table: Table) -> str:
    """The table as Markdown, with what must be said below it."""
    head = f"| claim | {' | '.join(map(_plain, table.models))} |"
    lines = [head, "|---" * (1 + len(table.models)) + "|"]
    for row in table.rows:
        cells = (_title(row), *("\n".join(_cell_lines(row, model, table)) for model in table.models))
        lines.append(f"| {' | '.join(map(_plain, cells))} |")
    lines += ["", *(f"- {_plain(note)}" for note in table.below())]
    lines += [f"- {_plain(_source(ledger))}" for ledger in table.ledgers]
    return "\n".join(lines) + "\n"


def _cell_lines(row: Row, model: str, table: Table) -> list[str]:
    found = [line for one in row.findings(model) for line in (one.heading, table.in_cell(one.found))]
    return found or [f"– {table.in_cell(row.cells[model].reason)}"]


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, in one line of a table."""
    escaped = re.sub(r"([\\`*_\[\]|])", r"\\\1", html.escape(visible(text), quote=False))
    return escaped.replace("\t", " ").replace("\n", "<br>")


def _source(ledger: Mapping[str, Any]) -> str:
    """Where a ledger lies and how it was made."""
    finished = f"finished {ledger['finished']}" if ledger["finished"] else "not finished"
    return f"{ledger['path']}: {ledger['command']}, commit {ledger['commit'] or 'not known'}, {finished}"


def page(table: Table) -> str:
    """The table as an HTML page that runs no script and loads nothing."""
    whole = fragment.render("generality.html", table=table, sources=[_source(ledger) for ledger in table.ledgers])
    return fragment.allow_only(whole, [])


def content(table: Table) -> dict[str, Any]:
    """The table as JSON data."""
    return {
        "schema": 1,
        "models": list(table.models),
        "claims": [
            {
                "claim": row.claim,
                "statement": row.statement,
                "partner_of": row.partner_of,
                "models": {model: _cell_content(cell) for model, cell in row.cells.items()},
            }
            for row in table.rows
        ],
        "notes": list(table.notes),
        "ledgers": [dict(ledger) for ledger in table.ledgers],
    }


def _cell_content(cell: Cell) -> dict[str, Any]:
    if not cell.entries:
        return {"reason": cell.reason}
    return {"verdicts": [{key: entry.get(key) for key in KEPT} for entry in cell.entries]}
