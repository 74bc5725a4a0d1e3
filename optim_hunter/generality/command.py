"""The command `generality`: its arguments, what runs, and what is written."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optim_hunter.claim import UserError, parse_seeds

if TYPE_CHECKING:
    from optim_hunter.generality.claims_run import Selection
    from optim_hunter.generality.table import Table

CLAIMS = Path("claims")
DEFAULT_MODELS = ("smollm2-135m", "trained-toy")
TABLE = "generality.json"

DESCRIPTION = """\
Run the claims of this folder on a list of models, each claim by its own protocols, and show claim × model
with verdicts and effects. Beside every language model stands its null: random:MODEL, the same architecture
with random weights. Claims are those of claims/, or of this folder where it has none.
"""

FILES = f"""\
DIR gets:
  run/                  ledger.json and evidence.html of the run (not with --from)
  {TABLE}       the table with verdicts, effects, intervals and the reasons of empty cells
  generality.md         the same for readers
  generality.html       the same as a page, which needs no network

What an earlier run saw is taken from the store, so that a command that was stopped goes on where it was.
Options of claims that are not here, such as --claims-device, may stand in PYTEST_ADDOPTS.

examples:
  optim-hunter generality
  optim-hunter generality smollm2-135m ./stories15m trained-toy --claims 'regression/*'
  optim-hunter generality --from reports/*/ledger.json --out reports/table
"""


def add_generality_command(parser: argparse.ArgumentParser) -> None:
    """The arguments of `optim-hunter generality`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, FILES
    parser.add_argument(
        "models", nargs="*", metavar="MODEL",
        help=f"names or folders (default: {', '.join(DEFAULT_MODELS)}; with --from those of the ledgers)",
    )  # fmt: skip
    parser.add_argument(
        "--claims", action="append", default=[], metavar="PATTERN", dest="patterns",
        help="only claims whose id is like this, as 'regression/*' (repeatable; default: all that are not marked slow)",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", metavar="N", help="as --claims-seeds: 24, 0-23 or 3,5,8 (default: the registered ones)"
    )
    parser.add_argument(
        "--from", nargs="+", type=Path, default=[], metavar="LEDGER", dest="ledgers",
        help="run nothing: make the table of the ledger.json of these runs",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where it is written (default: reports/generality-TIME)"
    )
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> str:
    from rich.console import Console

    from optim_hunter.generality.pages import terminal

    if chosen.ledgers and chosen.seeds is not None:
        raise UserError("--seeds and --from: a table of runs that exist measures nothing; leave one of them out")
    if chosen.seeds is not None:
        parse_seeds(chosen.seeds)
    out = _folder(chosen.out)
    table = (
        table_of_ledgers(chosen.ledgers, chosen.models, chosen.patterns)
        if chosen.ledgers
        else table_of_run(chosen.models, chosen.patterns, chosen.seeds, out)
    )
    _write(table, out)
    console = Console()
    console.print(terminal(table, console.width))
    for note in table.below():
        console.print(note, markup=False, highlight=False)
    return f"table: {out / 'generality.html'}"


def table_of_run(models: Sequence[str], patterns: Sequence[str], seeds: str | None, out: Path) -> Table:
    """Run the claims of the claims' folder on models and their nulls.

    Raises:
        UserError: a model is not known, no claim was asked for that runs on them, the run cannot start, or its folder
            cannot be written.
        KeyboardInterrupt: the run was stopped.
    """
    from optim_hunter.generality.claims_run import Selection, run_claims

    known, absent = _known(models)
    selection = Selection(with_nulls(known), patterns)
    with _made(out):
        ledger = run_claims(CLAIMS if CLAIMS.is_dir() else Path(), selection, seeds, out / "run")
    return _table([ledger], selection, absent)


def table_of_ledgers(ledgers: Sequence[Path], models: Sequence[str], patterns: Sequence[str]) -> Table:
    """The table of runs that exist; its models are those of the ledgers, unless some are named, and so are its claims.

    Raises:
        UserError: a file is no ledger, or claims of `claims/` cannot be collected.
    """
    from optim_hunter.evidence.ledger import read_ledger
    from optim_hunter.generality.claims_run import Selection, find_claims

    entries = [one for path in ledgers for one in read_ledger(path)["claims"]]
    found = [one["model"] for one in entries if not one["control"]]
    selection = Selection(models or nulls_beside(found), patterns)
    if CLAIMS.is_dir():
        find_claims(CLAIMS, selection)
        selection.forget_what_did_not_run({one["claim"] for one in entries})
    return _table(ledgers, selection, [f"{model}: no ledger has it" for model in models if model not in found])


def _table(ledgers: Sequence[Path], selection: Selection, notes: Sequence[str]) -> Table:
    from optim_hunter.evidence.ledger import read_ledger
    from optim_hunter.generality.table import Table, rows_of

    contents = [read_ledger(path) for path in ledgers]
    shown = [[one for one in content["claims"] if selection.shows(one["claim"], one["model"])] for content in contents]
    entries = [entry for of_ledger in shown for entry in of_ledger]
    rows = rows_of(entries, selection.models, selection.reason)
    said = *notes, *_twice(shown), *_left_out(selection, {row.claim for row in rows})
    sources = [_source(path, content["run"]) for path, content in zip(ledgers, contents, strict=True)]
    return Table(tuple(selection.models), tuple(rows), said, tuple(sources))


def _source(path: Path, run: Mapping[str, Any]) -> dict[str, Any]:
    return {"path": str(path), **{key: run[key] for key in ("command", "commit", "started", "finished")}}


def _twice(ledgers: Iterable[Iterable[Mapping[str, Any]]]) -> Iterator[str]:
    """A line for each model and protocol on which several ledgers decided claims, with these."""
    seen: set[tuple[str, str, str]] = set()
    twice: set[tuple[str, str, str]] = set()
    for entries in ledgers:
        keys = {(entry["model"], entry["protocol"], entry["claim"]) for entry in entries}
        twice |= keys & seen
        seen |= keys
    for (model, protocol), found in itertools.groupby(sorted(twice), key=lambda key: key[:2]):
        claims = ", ".join(claim for *_, claim in found)
        yield f"{model} ({protocol}): decided in more than one run, and the last ledger counts: {claims}"


def _left_out(selection: Selection, shown: set[str]) -> Iterator[str]:
    """The claims that have a verdict on none of the models, a line for each set of reasons, and one for slow ones."""
    by_reasons: dict[str, list[str]] = {}
    for claim_id in selection.claims:
        if claim_id not in shown:
            by_reasons.setdefault(_reasons(selection, claim_id), []).append(claim_id)
    yield from (f"{', '.join(claims)}: {reasons}" for reasons, claims in by_reasons.items())
    if slow := selection.slow - shown:
        yield f"marked slow and left out, unless --claims asks for them: {', '.join(sorted(slow))}"


def _reasons(selection: Selection, claim_id: str) -> str:
    """Why a claim has no verdict, each reason with its models."""
    models: dict[str, list[str]] = {}
    for model in selection.models:
        models.setdefault(selection.reason(claim_id, model), []).append(model)
    return "; ".join(f"{reason} ({', '.join(names)})" for reason, names in models.items())


def _known(models: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """The models to run, and a line for each of the default ones that are not there.

    Raises:
        UserError: a model that was named is not known.
    """
    import optim_hunter.models.registry as registry

    for name in models:
        registry.check_name(name)
    if models:
        return tuple(dict.fromkeys(map(registry.canonical, models))), []
    absent = {}
    for name in DEFAULT_MODELS:
        try:
            registry.check_name(name)
        except UserError as error:
            absent[name] = f"{name} is left out: {error.fault}"
    return tuple(name for name in DEFAULT_MODELS if name not in absent), list(absent.values())


def with_nulls(models: Sequence[str]) -> tuple[str, ...]:
    """Models, each language model followed by its architecture with random weights; planted ones have twins instead."""
    return tuple(dict.fromkeys(name for model in models for name in (model, *_null(model))))


def _null(model: str) -> Iterator[str]:
    import optim_hunter.models.registry as registry

    name = f"{registry.RANDOM}{model}"
    try:
        registry.check_name(name)
    except UserError:
        return
    yield name


def nulls_beside(models: Iterable[str]) -> tuple[str, ...]:
    """Models in their order, but each null after its model."""
    from optim_hunter.models.registry import RANDOM

    order = list(dict.fromkeys(model.removeprefix(RANDOM) for model in models))
    return tuple(
        sorted(set(models), key=lambda model: (order.index(model.removeprefix(RANDOM)), model.startswith(RANDOM)))
    )


def _folder(named: Path | None) -> Path:
    """The folder that the table is written into; it is made once something is to be written.

    Raises:
        UserError: it holds another table.
    """
    out = named or Path("reports", f"generality-{datetime.now():%Y-%m-%dT%H-%M-%S}")
    if (out / TABLE).exists() or (out / "run").exists():
        raise UserError(f"{out} holds another table: name another folder with --out")
    return out


@contextlib.contextmanager
def _made(out: Path) -> Iterator[None]:
    """Make the folder of a run; where the run is refused, what was made for it and is empty goes again."""
    new = [folder for folder in (out, *out.parents) if not folder.exists()]
    _make(out)
    try:
        yield
    except UserError:
        with contextlib.suppress(OSError):  # one that holds something stays
            for folder in new:
                folder.rmdir()
        raise


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}): name another folder with --out") from None


def _write(table: Table, out: Path) -> None:
    from optim_hunter.generality.pages import content, markdown, page

    files = {
        TABLE: json.dumps(content(table), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "generality.md": markdown(table),
        "generality.html": page(table),
    }
    _make(out)
    for name, text in files.items():
        (out / name).write_text(text, encoding="utf-8")
