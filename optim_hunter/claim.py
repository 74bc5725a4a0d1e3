"""The vocabulary: claims, conditions, protocols, numbers, verdicts. Frozen data, no torch, no pytest."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import itertools
import json
import textwrap
from collections.abc import Callable, Container, Iterable, Mapping, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

MINIMUM_SEEDS = 20
"""Fewer numbers than this end in *inconclusive*, whatever they say."""

MISSING_LIMIT = 0.10
"""A claim with a larger share of seeds without a number is *invalid*."""


ADDED_LATER = {"added later": True}
"""Metadata of a field that came after claims had been registered: at its default it does not enter their hashes."""

NEEDS = {
    "answer": "the greedy answer as text",
    "attribution": "direct logit attribution of the pair of answer tokens, where the two answers first differ",
    "attention": "attention mass on earlier values, from the token that predicts the answer",
    "candidates": "direct logit attribution of the first tokens of several predictors' answers, and their logits",
    "induction": "attention of the test case's labels to what followed the same places of the examples",
    "activations": "activations of MLP neurons at output and feature tokens, in the last layers",
    "regressors": "what each regressor predicts from the same examples",
    "permuted": "the greedy answer where the outputs are permuted among the examples",
    "block_ablation": "what the pair's logit difference loses when runs of attention blocks or MLPs are ablated",
    "head_ablation": "what it loses when a head is ablated",
    "patching": "what runs of blocks carry of the change that another last example makes to it",
}
"""What a claim may ask to be shown of a prompt."""


class Verdict(StrEnum):
    """What the numbers of all seeds say about a claim."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"


class UserError(Exception):
    """A mistake or a lack on the user's side: one line that names the cause and the remedy.

    A remedy that names options of a run of claims stands apart, so that a command can name its own in its place.
    """

    def __init__(self, fault: str, remedy: str = "") -> None:
        super().__init__(f"{fault}: {remedy}" if remedy else fault)
        self.fault, self.remedy = fault, remedy


class InvalidInstrument(Exception):
    """An instrument check failed, so that no number of this model can be believed."""


class NoValue(Exception):
    """A seed that gives no number, with the reason; the seed counts as missing."""


@dataclass(frozen=True)
class Condition:
    """One quantity that must lie above its smallest effect of interest for the claim to hold.

    `quantity` says in words what the number of one seed is; `unit` is the unit of both numbers. `statistic` names one
    of `stats.pooled`: the effect is then that statistic of all seeds' numbers (which may be arrays), and what is
    tested are its jackknife pseudo-values, one a seed. Where `equivalence` is above 0 it is told beside the verdict
    whether the effect lies between −`equivalence` and `equivalence` (two one-sided tests); that decides nothing.
    """

    name: str
    quantity: str
    unit: str
    smallest_effect: float
    statistic: str = field(default="", metadata=ADDED_LATER)
    equivalence: float = field(default=0.0, metadata=ADDED_LATER)


@dataclass(frozen=True)
class Protocol:
    """One way to run a claim: `published` (as the paper ran it, flaws and all) or `corrected`.

    `task` is what is put to the model (a frozen dataclass of `optim_hunter.tasks`); `models` are the
    registry names that run it by default.
    """

    name: str
    task: Any
    models: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper, made precise enough to be wrong.

    Everything but the list of models is fixed before data is seen and enters `definition_hash`.

    Attributes:
        id: `folder/name`, unique.
        statement: what is claimed, in one sentence.
        source: where it was claimed.
        conditions: all must hold; one that is refuted refutes the claim.
        shown: quantities that are tested and reported beside the conditions, and decide nothing.
        protocols: the ways in which it is run.
        family: claims that are adjusted together (Holm) within one model and protocol.
        needs: what a pass must show, out of `NEEDS`.
        controls: planted models with the verdict that a right instrument gives on them.
        seeds: the registered seeds, as `--claims-seeds` writes them.
        control_seeds: the seeds of the controls, which `--claims-seeds` does not touch.
        made_about: the models that the paper looked at ...
        seen_seeds: ... on these seeds, so that they are fresh no more.
        bootstrap: seeds resample one corpus: their numbers are a bootstrap distribution, not replicates.
        search: the numbers are arrays over candidates (layer × head); the candidate is found on one half
            of the seeds and confirmed on the other, unless `named` names it.
        found_by: the quantity whose mean over the finding half is lowest at the candidate; without it the candidate
            is the one that is most likely to meet all conditions ...
        found_as: ... or these quantities in their place: a causal partner names those of its claim, whose candidate it
            finds so.
        named: model → candidate that the paper named; without `search` the claim is about these models alone.
        published: what the paper gives for this quantity, in words, if it does.
        candidates: names of what a search goes through, where it is no grid of layers and heads.
        partner_of: the id of the correlational claim that this one tests as a cause; the two are read side by side.
    """

    id: str
    statement: str
    source: str
    conditions: tuple[Condition, ...]
    protocols: tuple[Protocol, ...]
    family: str
    shown: tuple[Condition, ...] = ()
    needs: Set[str] = frozenset()
    controls: Mapping[str, Verdict] = field(default_factory=dict)
    seeds: str = "0-99"
    control_seeds: str = "0-23"
    alpha: float = 0.05
    made_about: tuple[str, ...] = ()
    seen_seeds: str = ""
    bootstrap: bool = False
    search: bool = False
    found_by: str = field(default="", metadata=ADDED_LATER)
    found_as: tuple[str, ...] = field(default=(), metadata=ADDED_LATER)
    named: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    published: str | None = None
    candidates: tuple[str, ...] = field(default=(), metadata=ADDED_LATER)
    partner_of: str = field(default="", metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        if unknown := self.needs - NEEDS.keys():
            raise UserError(f"{self.id}: no need {sorted(unknown)[0]!r}: choose out of {', '.join(sorted(NEEDS))}")
        for kind, things in (("quantity", self.quantities), ("protocol", self.protocols)):
            names = [one.name for one in things]
            if twice := {name for name in names if names.count(name) > 1}:
                raise UserError(f"{self.id}: two have the name {sorted(twice)[0]!r}: name each {kind} otherwise")
        if not (self.conditions and self.protocols):
            raise UserError(f"{self.id}: a claim needs a condition that may fail and a protocol to run")
        if self.found_by and self.found_by not in {one.name for one in self.quantities}:
            raise UserError(f"{self.id}: found_by {self.found_by!r} is none of its quantities")
        if foreign := set(self.found_as) - {one.name for one in self.quantities}:
            raise UserError(f"{self.id}: found_as {sorted(foreign)[0]!r} is none of its quantities")
        if self.found_by and self.found_as:
            raise UserError(f"{self.id}: state found_by or found_as, and not both")
        if self.partner_of == self.id:
            raise UserError(f"{self.id}: no claim is its own partner")

    @property
    def quantities(self) -> tuple[Condition, ...]:
        """Everything that a seed must give a number for."""
        return self.conditions + self.shown

    @property
    def sought(self) -> tuple[Condition, ...]:
        """What the candidate of a search is the most likely to meet, where no `found_by` names it."""
        return tuple(one for one in self.quantities if one.name in self.found_as) or self.conditions

    def definition(self) -> dict[str, Any]:
        """The claim as plain JSON data, without the models that it happens to be run on."""
        plain = _stated(self)
        for kind in ("conditions", "shown"):
            plain[kind] = [_stated(condition) for condition in getattr(self, kind)]
        for protocol, entry in zip(self.protocols, plain["protocols"], strict=True):
            del entry["models"]
            entry["task"] = {"kind": type(protocol.task).__name__, **_stated(protocol.task)}
        plain["needs"] = sorted(self.needs)
        plain["controls"] = {name: str(verdict) for name, verdict in self.controls.items()}
        return plain


def _stated(definition: Any) -> dict[str, Any]:
    """The fields of a dataclass, without those added later that are at their defaults."""
    silent = {
        one.name
        for one in dataclasses.fields(definition)
        if one.metadata == ADDED_LATER and getattr(definition, one.name) == one.default
    }
    return {name: value for name, value in dataclasses.asdict(definition).items() if name not in silent}


def check_partners(claims: Iterable[Claim], registered: Container[str]) -> None:
    """Whether the claims that these are partners of are among them, or registered.

    Raises:
        UserError: a partner of a claim that nobody knows.
    """
    collected = {claim.id: claim for claim in claims}
    for claim in collected.values():
        if claim.partner_of and claim.partner_of not in collected and claim.partner_of not in registered:
            raise UserError(
                f"{claim.id}: partner_of names {claim.partner_of!r}, which is neither collected nor registered: mend "
                "the id, or register that claim (--claims-register)"
            )


Measure = Callable[..., Any]
"""observation → one finite number, or {condition: number or array over candidates}."""


@dataclass(frozen=True)
class Profile:
    """Labelled numbers of a seed, which the report averages over the seeds and draws; they decide nothing.

    Attributes:
        title: what they are.
        unit: of the numbers.
        of: observation → label: number, under the same labels for every seed; a seed that raises NoValue is left out.
        drawn: as `bars` beside each other, as `layers` along the depth of a model (labels `attention 0`, `MLP 0`, …),
            or as `methods` one under the other, the first of which is the claim's own.
        published: what the paper printed under the same labels.
    """

    title: str
    unit: str
    of: Callable[[Any], Mapping[str, float]]
    drawn: Literal["bars", "layers", "methods"] = "bars"
    published: Mapping[str, float] | None = None


def measure_code(measure: Measure) -> str:
    """The code of a measure by which it is known: without decorators, comments, layout and docstring."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(measure)))
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    function.decorator_list = []
    return _unparsed(function)


def _unparsed(statement: ast.stmt) -> str:
    """Its code without comments, layout and its own docstring."""
    if isinstance(statement, Definition) and ast.get_docstring(statement) is not None:
        statement.body = statement.body[1:] or [ast.Pass()]
    return ast.unparse(statement)


Definition = ast.FunctionDef | ast.ClassDef


def helper_code(measure: Measure) -> dict[str, str]:
    """Name → code of what a measure uses of its own file: functions, classes and constants, those of these as well.

    A plain value that the measure takes from a function around it counts too. What is imported does not: the commit
    of the registration leads to it.
    """
    defined = _defined(ast.parse("".join(inspect.findsource(measure)[0])))
    found: dict[str, str] = {}
    asked = _names(ast.parse(measure_code(measure)))
    while new := asked & defined.keys() - found.keys():
        for name in new:
            asked |= set().union(*map(_names, defined[name]))
            found[name] = "\n".join(map(_unparsed, defined[name]))
    around = inspect.getclosurevars(measure).nonlocals
    plain = {name: repr(value) for name, value in around.items() if isinstance(value, str | int | float)}
    return dict(sorted((found | plain).items()))


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _defined(module: ast.Module) -> dict[str, list[ast.stmt]]:
    """Name → the statements of a file that define it, at its top level."""
    defined: dict[str, list[ast.stmt]] = {}
    for statement in module.body:
        targets: list[ast.expr] = []
        if isinstance(statement, Definition):
            defined.setdefault(statement.name, []).append(statement)
        elif isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
            targets = [statement.target]
        for node in (node for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)):
            defined.setdefault(node.id, []).append(statement)
    return defined


def helpers_hash(helpers: Mapping[str, str]) -> str:
    """sha256 over `helper_code`."""
    return hashlib.sha256(json.dumps(helpers, sort_keys=True).encode()).hexdigest()


def definition_hash(definition: Mapping[str, Any], code: str) -> str:
    """sha256 over `Claim.definition` and `measure_code`."""
    return hashlib.sha256(json.dumps([definition, code], sort_keys=True).encode()).hexdigest()


def claim(definition: Claim, *profiles: Profile) -> Callable[[Measure], Measure]:
    """Make a test function the measure of a claim: pytest then runs it for every model, protocol and seed.

    The function takes `observation` and returns one number, or one for each condition by name. A seed
    without a number raises `NoValue` with the reason. `profiles` are drawn in the report and decide nothing. The code
    is read here and now, so that a file edited during a long run is not taken for the one that runs.
    """

    def mark(measure: Measure) -> Measure:
        measure.__claim__ = definition  # type: ignore[attr-defined]
        measure.__measure_code__ = measure_code(measure)  # type: ignore[attr-defined]
        measure.__helper_code__ = helper_code(measure)  # type: ignore[attr-defined]
        measure.__profiles__ = profiles  # type: ignore[attr-defined]
        return measure

    return mark


def parse_seeds(text: str, first: int = 0) -> tuple[int, ...]:
    """`100` (that many, from `first` on), `0-99`, `3,5,8` → seeds in ascending order.

    Raises:
        UserError: empty, negative, unordered or repeated seeds, or text that is none of the three forms.
    """
    text = text.strip()
    if text.isdecimal() and int(text) == 0:
        raise UserError("seeds '0': that is no seed at all; write a count (100), a range (0-99) or a list (3,5,8)")
    if text.isdecimal():
        return tuple(range(first, first + int(text)))
    parts = [part.strip().split("-") for part in text.split(",")]
    if not all(len(part) <= 2 and all(end.strip().isdecimal() for end in part) for part in parts):
        raise UserError(f"seeds {text!r}: write a count (100), a range (0-99) or a list (3,5,8) of whole numbers ≥ 0")
    seeds = [seed for part in parts for seed in range(int(part[0]), int(part[-1]) + 1)]
    ends = [int(end) for part in parts for end in part]
    if not seeds or any(later < earlier for earlier, later in itertools.pairwise(ends)):
        raise UserError(f"seeds {text!r}: they must ascend, as in 0-99 or 3,5,8")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"seeds {text!r}: a seed is named twice; each gives one number, so name it once")
    return tuple(seeds)
