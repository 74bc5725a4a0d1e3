"""The evidence page: made from the ledger alone, as a part of pytest-html's page or as a page of its own.

Nothing in a ledger is trusted: templates escape every string, figures are data that one known script draws, and
the page's Content-Security-Policy lets no other script run and no network be reached.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from optim_hunter.claim import Verdict
from optim_hunter.evidence import fragment, text
from optim_hunter.evidence.figures import Figure, seed_strip, untitled
from optim_hunter.evidence.forest import common_axis

RELOAD = ' onclick="location.reload()"'

Ledger = Mapping[str, Any]
Entry = Mapping[str, Any]


@dataclass
class ReportRow:
    """One row of the table of claims with its section: a claim on one model by one protocol."""

    entry: Entry
    anchor: str
    figures: list[tuple[int, str]] = field(default_factory=list)
    """Key and title of each figure."""


def install(prefix: list[str], ledger: Ledger) -> None:
    """Put the evidence into pytest-html's page; called in `pytest_html_results_summary`.

    Its script moves the evidence to the top and folds pytest-html's own table of tests away below.
    """
    prefix.append(_evidence(ledger))


def page_html(ledger: Ledger) -> str:
    """A whole page from the ledger alone, which needs no network and forbids it."""
    claims = {entry["claim"] for entry in ledger["claims"] if not entry["control"]}
    return secure(fragment.page(f"Evidence: {len(claims)} claims", Markup(_evidence(ledger))))


def secure(page: str) -> str:
    """The page with a Content-Security-Policy that allows its known scripts by hash and nothing else.

    Known are this module's script, those that draw figures, and the script in the `<footer>` that pytest-html
    writes as the last of its page; a script that some test or model smuggled in is none of them.
    """
    scripts = [fragment.template_text("report.js")]
    _, footer, rest = page.rpartition("<footer>")
    if footer:
        scripts += re.findall(r"<script>(.*?)</script>", rest, flags=re.DOTALL)[-1:]
    return fragment.secure(page, scripts)


def escape_test(cells: list[str], test_id: str) -> None:
    """Write a test's id as text into its row, where pytest-html puts it as markup.

    Called in `pytest_html_results_table_row`; a model's name, which is anybody's, stands in such ids.
    """
    cells[1] = Markup('<td class="col-testId">{}</td>').format(text.visible(test_id))


def secure_file(path: Path) -> None:
    """Put the policy of `secure` into a page that pytest-html has written with `--self-contained-html`.

    The button with which pytest-html reloads the page of a run under way loses its handler: the policy blocks it.
    """
    page = path.read_text(encoding="utf-8").replace(RELOAD, "")
    path.write_text(secure(page), encoding="utf-8")


def _evidence(ledger: Ledger) -> str:
    claims = [entry for entry in ledger["claims"] if not entry["control"]]
    cases, figures = _cases(claims)
    deciding = [one for entry in ledger["claims"] for one in entry["conditions"] if one["decides"]]
    return fragment.render(
        "evidence.html",
        run=ledger["run"],
        anchors=_anchors(cases),
        groups=[(claim, list(group)) for claim, group in groupby(cases, key=lambda case: case.entry["claim"])],
        controls=[entry for entry in ledger["claims"] if entry["control"]],
        tally=_tally(claims),
        axis=common_axis(deciding),
        alphas=sorted({entry["alpha"] for entry in ledger["claims"]}),
        figures=figures,
    )  # fmt: skip


def _cases(claims: Iterable[Entry]) -> tuple[list[ReportRow], list[Figure]]:
    """The claims' cases, those of one claim side by side, and the figures of all, at the place that is their key."""
    order: dict[str, list[Entry]] = {}
    for entry in claims:
        order.setdefault(entry["claim"], []).append(entry)
    cases: list[ReportRow] = []
    figures: list[Figure] = []
    for index, entry in enumerate(entry for entries in order.values() for entry in entries):
        case = ReportRow(entry, _anchor(entry, index))
        for title, figure in _titled_figures(entry):
            case.figures.append((len(figures), title))
            figures.append(figure)
        cases.append(case)
    return cases, figures


def _anchors(cases: Iterable[ReportRow]) -> dict[tuple[str, ...], str]:
    """Claim → its first section, and claim, model and protocol → theirs: where causal partners are found."""
    anchors: dict[tuple[str, ...], str] = {}
    for case in cases:
        claim, *place = (case.entry[key] for key in ("claim", "model", "protocol"))
        anchors.setdefault((claim,), case.anchor)
        anchors[claim, *place] = case.anchor
    return anchors


def _anchor(entry: Entry, index: int) -> str:
    words = " ".join(entry[key] for key in ("claim", "model", "protocol")).lower()
    return f"{re.sub('[^a-z0-9]+', '-', words)}-{index + 1}"


def _titled_figures(entry: Entry) -> list[tuple[str, Figure]]:
    """The strips of the seeds, then the claim's own figures; the page shows their titles as captions."""
    strips = [
        (f"{_every_seed(condition)}: {condition['quantity']}", seed_strip(entry, condition))
        for condition in entry["conditions"]
        if any(condition["name"] in row.get("values", {}) for row in entry["numbers"])
    ]
    own = [(shown["title"], untitled(shown["figure"])) for shown in entry["figures"]]
    return strips + own


def _every_seed(condition: Mapping[str, Any]) -> str:
    return "Every seed’s pseudo-value" if condition.get("statistic") else "Every seed"


def _tally(claims: Iterable[Entry]) -> dict[str, int]:
    verdicts = [entry["verdict"] for entry in claims]
    return {str(verdict): verdicts.count(verdict) for verdict in Verdict}
