"""The ledger: every verdict of a run with the numbers under it, as one JSON file that is whole at every moment."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from optim_hunter.cases import Case
from optim_hunter.claim import Condition, UserError
from optim_hunter.evidence.exchanges import exchanges_of, gather
from optim_hunter.evidence.partners import partners_of
from optim_hunter.evidence.pictures import figures_of
from optim_hunter.evidence.sentences import sentence_of
from optim_hunter.run import Decision, Run
from optim_hunter.stats.decision import SeedNumber, Tested
from optim_hunter.stats.equivalence import equivalence_p
from optim_hunter.stats.families import false_discovery_rates
from optim_hunter.stats.opinions import second_opinions
from optim_hunter.stats.sequential import clipped

SCHEMA = 2
PACKAGES = ("torch", "transformers", "transformer-lens", "numpy", "scipy", "scikit-learn", "statsmodels",
            "pytest", "pytest-html", "plotly", "optim-hunter")  # fmt: skip

DESCRIBED = ("corpus", "source_of_model", "device", "dtype")
"""What a subject says of itself."""


class Ledger:
    """Collects entries and writes them to a folder after each, by replacing the file as a whole."""

    def __init__(self, folder: Path, command: str) -> None:
        self.folder = folder
        self.started = datetime.now(UTC)
        self.content: dict[str, Any] = {"schema": SCHEMA, "run": describe_run(command, self.started), "claims": []}

    def add(self, entry: dict[str, Any]) -> None:
        """Add a verdict and write the file; what its model took so far goes to the run."""
        run, model = self.content["run"], entry["model"]
        run["work"][model] = entry.pop("work")
        problems = entry.pop("store_problems")
        run["store_problems"] += [problem for problem in problems if problem not in run["store_problems"]]
        gather(self.content, entry)
        self.content["claims"].append(entry)
        for one in self.content["claims"]:
            one["partners"] = partners_of(one, self.content["claims"])
        self.write()

    def finish(self) -> None:
        """Note the end of the run and write the file for the last time."""
        now = datetime.now(UTC)
        self.content["run"]["finished"] = now.isoformat(timespec="seconds")
        self.content["run"]["seconds"] = round((now - self.started).total_seconds(), 1)
        self._note_false_discovery_rates()
        for key in ("device", "dtype"):
            used = {entry[key] for entry in self.content["claims"] if entry[key] and not entry["control"]}
            self.content["run"][key] = ", ".join(sorted(used)) or None
        self.write()

    def _note_false_discovery_rates(self) -> None:
        """Each direction on its own, over all verdicts of the run that rest on a test; controls are left out."""
        tested = [entry for entry in self.content["claims"] if not entry["control"] and entry["p"] is not None]
        for p, q in (("p", "q"), ("p_refuted", "q_refuted")):
            rates = false_discovery_rates([entry[p] for entry in tested])
            for entry, rate in zip(tested, rates, strict=True):
                entry[q] = rate

    def write(self) -> None:
        """Write the ledger beside its place, then move it there: a reader never sees half of it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / "ledger.json.part"
        unfinished.write_text(json.dumps(self.content, indent=1, allow_nan=False), encoding="utf-8")
        unfinished.replace(self.folder / "ledger.json")


def read_ledger(path: Path) -> dict[str, Any]:
    """A ledger as JSON data.

    Raises:
        UserError: no such file, or no ledger of a known schema.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no ledger ({error}): give the ledger.json of a run") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise UserError(f"{path} is no ledger of schema {SCHEMA}: give the ledger.json of a run of this version")
    return content


def describe_run(command: str, started: datetime) -> dict[str, Any]:
    """Versions, machine, commit and command line of a run."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "started": started.isoformat(timespec="seconds"),
        "finished": None,
        "seconds": None,
        "device": None,
        "dtype": None,
        "command": command,
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "machine": {
            "platform": platform.platform(terse=True),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(memory, 1),
        },
        "commit": _commit(),
        "work": {},
        "store_problems": [],
    }


def entry_of(
    decision: Decision, run: Run, expected: str | None, registration: Mapping[str, Any], again: str
) -> dict[str, Any]:
    """A decision as a ledger entry: plain JSON data, NaN-free.

    Args:
        decision: the verdict and what it rests on.
        run: holds the numbers, checks and descriptions.
        expected: the verdict that `claims/expected.toml` states, if it does.
        registration: `registered`, `amended` or `unregistered`; what was registered when, and what changed since.
        again: the command that runs this case again.
    """
    case, claim = decision.case, decision.case.claim
    numbers = run.looked_at(case)
    return {
        "claim": claim.id,
        "model": case.model,
        "protocol": case.protocol.name,
        "protocol_note": case.protocol.note,
        "statement": claim.statement,
        "source": claim.source,
        "published": claim.published,
        "partner_of": claim.partner_of or None,
        "verdict": str(decision.verdict),
        "sentence": sentence_of(decision),
        "expected": expected if case.expected is None else str(case.expected),
        **_effect(decision, numbers),
        "q": None,
        "q_refuted": None,
        "sequential": _sequential(decision, run, numbers),
        "alpha": claim.alpha,
        "family": claim.family,
        "family_size": decision.family_size,
        "seeds_to_settle": decision.seeds_to_settle,
        **_candidate(decision),
        **_seeds(case, numbers, decision.tested),
        **_trust(decision, run, registration),
        **{key: run.described(case).get(key) for key in DESCRIBED},
        "work": run.work.get(case.model, {}),
        "store_problems": run.store_problems(),
        "figures": figures_of(decision, run, numbers),
        **exchanges_of(case, run.illustrations),
        "again": again,
    }


def _sequential(decision: Decision, run: Run, numbers: list[SeedNumber]) -> dict[str, Any] | None:
    """When a claim that was looked at after every seed stopped, or why it was not; None where nobody asked for it."""
    looks = run.looks(decision.case)
    if looks is None:
        return None
    if isinstance(looks, str):
        return {"obstacle": looks}
    return {"seeds_looked_at": len(numbers), "settled": run.settled(decision.case) is not None}


def _candidate(decision: Decision) -> dict[str, Any]:
    """What a search found, or the paper named: its place, and its name where the claim gives one."""
    found, names = decision.tested and decision.tested.candidate, decision.case.claim.candidates
    if not found:
        return {"candidate": None}
    return {"candidate": list(found)} | ({"candidate_name": names[found[0]]} if names else {})


def _seeds(case: Case, numbers: list[SeedNumber], tested: Tested | None) -> dict[str, Any]:
    """The seeds, what each gave, and which gave nothing."""
    return {
        "seeds": list(case.seeds),
        "at_registered_seeds": case.at_registered_seeds,
        "reanalysis": case.is_reanalysis,
        "missing": [{"seed": one.seed, "reason": one.missing} for one in numbers if one.values is None],
        "numbers": [number_entry(one, tested) for one in numbers],
    }


def _trust(decision: Decision, run: Run, registration: Mapping[str, Any]) -> dict[str, Any]:
    """Why a reader may believe the numbers: registration, controls, instrument checks."""
    return {
        "definition_hash": decision.case.definition_hash,
        **registration,
        "control": decision.case.is_control,
        "controls": [
            {
                "model": control.model,
                "protocol": control.protocol.name,
                "expected": str(control.expected),
                "verdict": str(verdict),
            }
            for control, verdict in decision.controls
        ],
        "checks": run.check_table(decision.case),
    }


def _effect(decision: Decision, numbers: list[SeedNumber]) -> dict[str, Any]:
    """The decisive condition at the top level, and all of them."""
    tested, claim = decision.tested, decision.case.claim
    decisive = next(one for one in claim.conditions if tested is None or one.name == tested.combined.decisive)
    entries = [
        _condition_entry(one, tested, decides=one in claim.conditions) | _beside(one, decision, numbers)
        for one in claim.quantities
    ]
    top = entries[claim.quantities.index(decisive)]
    return {
        "decisive_condition": decisive.name,
        **{key: top[key] for key in ("effect", "unit", "interval", "smallest_effect")},
        "n": tested.combined.n if tested else 0,
        "p": tested.combined.p if tested else None,
        "p_refuted": tested.combined.p_refuted if tested else None,
        "p_adjusted": decision.p_adjusted,
        "p_refuted_adjusted": decision.p_refuted_adjusted,
        "conditions": entries,
    }


def _condition_entry(condition: Condition, tested: Tested | None, decides: bool) -> dict[str, Any]:
    result = tested.conditions[condition.name] if tested else None
    pooled = {"statistic": condition.statistic, "pooled": tested.pooled.get(condition.name) if tested else None}
    return {
        **(pooled if condition.statistic else {}),
        "name": condition.name,
        "decides": decides,
        "quantity": condition.quantity,
        "unit": condition.unit,
        "smallest_effect": condition.smallest_effect,
        "effect": result.effect if result else None,
        "interval": list(result.interval) if result and result.interval else None,
        "n": result.n if result else 0,
        "p": result.p if result else None,
        "p_refuted": result.p_refuted if result else None,
    }


def _beside(condition: Condition, decision: Decision, numbers: list[SeedNumber]) -> dict[str, Any]:
    """Beside the test of a mean other tests; beside a sequential test its bounds, and how many numbers it clipped."""
    tested, claim, name = decision.tested, decision.case.claim, condition.name
    if tested is None or claim.bootstrap:
        return {}
    if decision.looks is not None:
        bounds = decision.looks.bounds.get(name)
        return {} if bounds is None else {"bounds": list(bounds), "clipped": clipped(bounds, numbers, name)}
    equivalence = _equivalence(condition, tested)
    opinions = second_opinions(tested.values[name], condition.smallest_effect, claim.alpha)
    if opinions is None:
        return equivalence
    parting = opinions.parting(tested.conditions[name], condition.smallest_effect, claim.alpha)
    return equivalence | {"second_opinions": dataclasses.asdict(opinions) | {"parting": list(parting)}}


def _equivalence(condition: Condition, tested: Tested) -> dict[str, Any]:
    """Whether the effect is as good as none, where the condition asks for that."""
    if not condition.equivalence:
        return {}
    p = equivalence_p(tested.values[condition.name], condition.equivalence)
    return {"equivalence": {"margin": condition.equivalence, "p": p}}


def number_entry(number: SeedNumber, tested: Tested | None) -> dict[str, Any]:
    """A seed's numbers as JSON: of a search the found candidate's, of a statistic over seeds the pseudo-value."""
    role = {"role": tested.roles[number.seed]} if tested and "find" in tested.roles.values() else {}
    if number.values is None:
        return {"seed": number.seed, "missing": number.missing, **role}
    if tested is None:
        known = {name: float(value) for name, value in number.values.items() if np.ndim(value) == 0}
    else:
        known = {name: by_seed[number.seed] for name, by_seed in tested.by_seed.items() if number.seed in by_seed}
    return {"seed": number.seed, "values": known, **role}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str | None:
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() if found.returncode == 0 else None
