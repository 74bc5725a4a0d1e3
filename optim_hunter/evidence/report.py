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
from optim_hunter.evidence.fragment import Titled

RELOAD = ' onclick="location.reload()"'

Ledger = Mapping[str, Any]
Entry = Mapping[str, Any]


@dataclass
class ReportRow:
    """One row of the table of claims with its section: a claim on one model by one protocol."""

    entry: Entry
    anchor: str
    figures: list[tuple[str, str]] = field(default_factory=list)
    """Key and title of each figure."""
    beside: list[tuple[str, str]] = field(default_factory=list)
    """The same of what decides nothing."""

    @property
    def seeds(self) -> dict[str, Any]:
        """What the page's script makes the table of seeds from: names of the numbers, a row a seed, key of the answers.

        A row has the seed, its numbers, and in a word or a sentence what else is to say of it.
        """
        names = [condition["name"] for condition in self.entry["conditions"]]
        rows = []
        for row in self.entry["numbers"]:
            note = text.visible(row.get("missing") or ROLES.get(row.get("role"), ""))
            rows.append([row["seed"], [row.get("values", {}).get(name) for name in names], note])
        return {"names": [text.visible(name) for name in names], "rows": rows, "exchanges": self.entry.get("exchanges")}

    @property
    def sort_keys(self) -> dict[str, Any]:
        """Column of the table of claims → what rows are sorted by, `None` last: effects in smallest effects."""
        entry = self.entry
        effect, smallest = entry["effect"], abs(entry["smallest_effect"])
        p = entry["p_refuted_adjusted" if entry["verdict"] == Verdict.REFUTED else "p_adjusted"]
        causes = sorted(partner["verdict"] for partner in entry.get("partners", ()))
        return {
            "verdict": list(Verdict).index(entry["verdict"]),
            "claim": entry["claim"],
            "model": f"{entry['model']} {entry['protocol']}",
            "effect": effect / smallest if effect is not None and smallest else effect,
            "n": entry["n"],
            "p": p,
            "cause": causes[0] if causes else None,
        }


ROLES = {"find": "searched, not counted"}


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
    scripts = [fragment.template_text(name) for name in ("report.js", "claims_table.js", "seeds.js")]
    _, footer, rest = page.rpartition("<footer>")
    if footer:
        scripts += re.findall(r"<script>(.*?)</script>", rest, flags=re.DOTALL)[-1:]
    return fragment.secure(page, scripts)


def fill_row(cells: list[str], test_id: str, *, measured: bool = False) -> None:
    """Write a test's id as text into its row, where pytest-html puts it as markup; a row without cells is left out.

    Called in `pytest_html_results_table_row`; a model's name, which is anybody's, stands in such ids. Ten thousand rows
    of seeds that were measured (`measured`) would double the page and say nothing that its tables of seeds do not.
    """
    if measured:
        cells.clear()
    else:
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
        cases=cases,
        models=sorted({entry["model"] for entry in claims}),
        families=sorted({entry["family"] for entry in claims}),
        groups=[(claim, list(group)) for claim, group in groupby(cases, key=lambda case: case.entry["claim"])],
        controls=[entry for entry in ledger["claims"] if entry["control"]],
        tally=_tally(claims),
        axis=common_axis(deciding),
        alphas=sorted({entry["alpha"] for entry in ledger["claims"]}),
        figures=figures,
        exchanges=_exchanges(ledger, claims),
    )  # fmt: skip


def _exchanges(ledger: Ledger, claims: Iterable[Entry]) -> dict[str, Any]:
    """Prompts and answers of the seeds that are shown, with nothing invisible in them."""
    keys = {entry["exchanges"] for entry in claims if entry.get("exchanges")}
    told = {key: by_seed for key, by_seed in ledger.get("exchanges", {}).items() if key in keys}
    prompts = {one["prompt"] for by_seed in told.values() for one in by_seed.values()}
    return {
        "prompts": {key: text.visible(prompt) for key, prompt in ledger.get("prompts", {}).items() if key in prompts},
        "exchanges": {
            key: {
                seed: [one["prompt"], text.visible(one["truth"]), one["answer"] and text.visible(one["answer"])]
                for seed, one in by_seed.items()
            }
            for key, by_seed in told.items()
        },
    }


def _cases(claims: Iterable[Entry]) -> tuple[list[ReportRow], dict[str, Figure]]:
    """The claims' cases, those of one claim side by side, and the figures of all by their keys."""
    order: dict[str, list[Entry]] = {}
    for entry in claims:
        order.setdefault(entry["claim"], []).append(entry)
    cases: list[ReportRow] = []
    figures: dict[str, Figure] = {}
    for index, entry in enumerate(entry for entries in order.values() for entry in entries):
        case = ReportRow(entry, _anchor(entry, index))
        own = [_own(shown) for shown in entry["figures"]]
        for place, group in ((case.figures, _strips(entry, True) + own), (case.beside, _strips(entry, False))):
            place += [(titled.key, titled.title) for titled in group]
            figures |= {titled.key: titled.figure for titled in group}
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


def _strips(entry: Entry, decides: bool) -> list[Titled]:
    """The strips of the seeds for the conditions, or for what is shown beside them, with their captions."""
    return [
        Titled(f"{_every_seed(condition)}: {condition['quantity']}", seed_strip(entry, condition))
        for condition in entry["conditions"]
        if condition["decides"] is decides
        and any(condition["name"] in row.get("values", {}) for row in entry["numbers"])
    ]


def _own(shown: Mapping[str, Any]) -> Titled:
    """A figure of the ledger, or an attention row with nothing invisible in its tokens."""
    if "row" in shown:
        tokens = [text.visible(token) for token in shown["row"]["tokens"]]
        return Titled(shown["title"], {**shown["row"], "tokens": tokens})
    return Titled(shown["title"], untitled(shown["figure"]))


def _every_seed(condition: Mapping[str, Any]) -> str:
    return "Every seed’s pseudo-value" if condition.get("statistic") else "Every seed"


def _tally(claims: Iterable[Entry]) -> dict[str, int]:
    verdicts = [entry["verdict"] for entry in claims]
    return {str(verdict): verdicts.count(verdict) for verdict in Verdict}
