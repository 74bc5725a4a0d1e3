"""What was fixed before the data was seen: the lock of definitions, and the verdicts that are expected."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from optim_hunter.amendments import Amendment, amendments, is_amended
from optim_hunter.cases import Case, protocols_on
from optim_hunter.claim import Claim, UserError, Verdict
from optim_hunter.lock import LOCK, UNCOMMITTED, read_lock
from optim_hunter.tasks.corpus import packaged_record
from optim_hunter.tasks.regression import RegressionTask

EXPECTED = "expected.toml"
HASH = re.compile("[0-9a-f]{12,64}")


@dataclass(frozen=True)
class Expectation:
    """A verdict that is known: of a claim about stories on one corpus, named by the start of its text's sha256.

    Without one it holds on the packaged corpus, and of a claim that reads no corpus everywhere. `reason` is a text
    that the reason of an invalid verdict must hold: any other invalid verdict is not the one that is known.
    """

    verdict: Verdict
    corpus: str | None = None
    reason: str = ""

    @property
    def sha256(self) -> str:
        """Of the corpus's text, or its start."""
        return self.corpus or str(packaged_record()["text_sha256"])


@dataclass(frozen=True)
class Replaced:
    """A registration that another has replaced, and what changed with that."""

    date: str
    commit: str
    changes: tuple[Amendment, ...]


@dataclass(frozen=True)
class Standing:
    """How a claim stands to what was registered of it, when and at which commit; None where nothing was.

    `earlier` are the registrations that were replaced since the claim's first, oldest first.
    """

    label: Literal["registered", "amended", "unregistered"]
    date: str | None = None
    commit: str | None = None
    amendments: tuple[Amendment, ...] = ()
    earlier: tuple[Replaced, ...] = ()

    def entry(self) -> dict[str, Any]:
        """The same as a part of a ledger's entry."""
        if self.date is None:
            return {"registration": self.label}
        changed = {"amendments": [asdict(one) for one in self.amendments]} if self.amendments else {}
        before = {"earlier": [asdict(one) for one in self.earlier]} if self.earlier else {}
        return {
            "registration": self.label,
            "registered": {"date": self.date, "commit": self.commit, **before},
            **changed,
        }


@dataclass(frozen=True)
class Registrations:
    """The folder that holds lock and expectations, and what they say."""

    folder: Path
    locked: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    expected: Mapping[tuple[str, str, str], tuple[Expectation, ...]] = field(default_factory=dict)

    def expected_of(self, case: Case, corpus_sha256: Callable[[], str]) -> Expectation | None:
        """What is stated of a case, if anything is; the corpus is read only where a verdict depends on it."""
        stated = self.expected.get(case.key, ())
        if stated and case.reads_corpus:
            digest = corpus_sha256()
            stated = tuple(one for one in stated if digest.startswith(one.sha256))
        return stated[0] if stated else None

    def standing(self, case: Case) -> Standing:
        """How a claim stands to what was registered of it."""
        entry = self.locked.get(case.claim.id)
        if entry is None:
            return Standing("unregistered")
        date, commit, earlier = entry["date"], entry.get("commit", UNCOMMITTED), tuple(_replaced(entry))
        if not is_amended(entry, case.definition_hash, case.helper_code):
            return Standing("registered", date, commit, earlier=earlier)
        changed = amendments(entry, case.claim.definition(), case.measure_code, case.helper_code)
        return Standing("amended", date, commit, changed, earlier)

    def check_expected(self, collected: Mapping[str, Claim]) -> None:
        """Refuse an expectation about a claim or protocol that does not exist, or about a corpus that is not read.

        Raises:
            UserError: names the entry.
        """
        for (claim_id, model, protocol), stated in self.expected.items():
            claim = collected.get(claim_id)
            tasks = {one.name: one.task for one in protocols_on(claim, model).values()} if claim else {protocol: None}
            entry = f"{claim_id!r} with protocol {protocol!r} (model {model!r})"
            if (claim is None and claim_id not in self.locked) or protocol not in tasks:
                raise UserError(f"{self.folder / EXPECTED}: no claim {entry}: correct the entry or remove it")
            if isinstance(tasks[protocol], RegressionTask) and any(one.corpus for one in stated):
                raise UserError(f"{self.folder / EXPECTED}: {entry} reads no corpus: remove `corpus` from the entry")

    def family_sizes(self, collected: Iterable[Claim]) -> dict[str, int]:
        """Members of each family: those registered, and those collected.

        A family to which a claim was moved is no smaller than the one that it is registered in, so that renaming one
        makes no verdict easier.
        """
        registered = {claim_id: entry["family"] for claim_id, entry in self.locked.items()}
        present = {claim.id: claim.family for claim in collected}
        sizes = Counter(family for _, family in {*registered.items(), *present.items()})
        least = dict(sizes)
        for claim_id, family in present.items():
            least[family] = max(least[family], sizes[registered.get(claim_id, family)])
        return least


def _replaced(entry: Mapping[str, Any]) -> Iterator[Replaced]:
    """The earlier registrations of an entry, each with what changed in the one after it."""
    for was, now in itertools.pairwise((*entry.get("earlier", ()), entry)):
        known = "definition" in now
        changes = amendments(was, now["definition"], now["measure"], now.get("helpers")) if known else ()
        yield Replaced(was["date"], was.get("commit", UNCOMMITTED), changes)


def read_registrations(root: Path) -> Registrations:
    """Read `register.lock` and `expected.toml` of a repository, from `claims/` where it has one.

    Raises:
        UserError: one of them cannot be read; names the file and the mistake.
    """
    folder = root / "claims" if (root / "claims").is_dir() else root
    return Registrations(folder, read_lock(folder / LOCK), _read_expected(folder / EXPECTED))


def _read_expected(path: Path) -> dict[tuple[str, str, str], tuple[Expectation, ...]]:
    if not path.exists():
        return {}
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("expected", [])
        expected: dict[tuple[str, str, str], tuple[Expectation, ...]] = {}
        for one in entries:
            key = one["claim"], one["model"], one["protocol"]
            expected[key] = (*expected.get(key, ()), _expectation(one, expected.get(key, ())))
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise UserError(
            f"{path}: {error}; each [[expected]] needs claim, model, protocol and verdict ({', '.join(Verdict)}), if "
            "invalid `reason`, a text that the reason must hold, and of a claim about another corpus than the packaged "
            "one `corpus`, 12 or more hex digits of its text's sha256"
        ) from None
    return expected


def _expectation(entry: Mapping[str, Any], before: Iterable[Expectation]) -> Expectation:
    """What an entry states.

    Raises:
        ValueError: the corpus is no hash, or an earlier entry is about it; an invalid verdict has no reason, or a
            valid one has.
    """
    corpus = entry.get("corpus")
    if corpus is not None and not (isinstance(corpus, str) and HASH.fullmatch(corpus)):
        raise ValueError(f"corpus {corpus!r} of {entry['claim']} on {entry['model']} is no hash")
    found = Expectation(Verdict(entry["verdict"]), corpus, str(entry.get("reason", "")).strip())
    if bool(found.reason) != (found.verdict is Verdict.INVALID):
        needs = "needs a reason" if not found.reason else "is not invalid, and takes no reason"
        raise ValueError(f"{entry['claim']} on {entry['model']} {needs}")
    if any(found.sha256.startswith(one.sha256) or one.sha256.startswith(found.sha256) for one in before):
        raise ValueError(f"{entry['claim']} on {entry['model']} is stated twice for one corpus")
    return found
