"""Claim × model × protocol: the cases of a run, and the seeds of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import optim_hunter.models.registry as registry
from optim_hunter.claim import Claim, Measure, Profile, Protocol, Verdict, definition_hash, parse_seeds
from optim_hunter.tasks.regression import RegressionTask

ANSWERED = {"answer", "permuted", "regressors"}
"""What a regressor in a model's place can show."""

OF_A_CORPUS = {"linear", "one-layer", "rule-book"}
"""Kinds that stand for what was made of a corpus: choosing language models takes none of them out."""

OWN_TASK = "own task"
"""The protocol of a model that brings its task along (`registry.own_task`)."""

ABOUT_ITS_DATA = "original2"
"""Claims about the parts of this formula say something of these data alone: no other task can stand in for theirs."""


@dataclass(frozen=True)
class Case:
    """A claim as it is run: on one model, under one protocol, with these seeds.

    `expected` is the verdict that a right instrument gives, known for controls alone. `at_registered_seeds`
    tells whether the seeds are the registered ones, so that any difference from what is expected counts.
    """

    claim: Claim
    measure: Measure
    protocol: Protocol
    model: str
    seeds: tuple[int, ...]
    at_registered_seeds: bool
    expected: Verdict | None = None

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """What the report draws beside the numbers, as the claim says."""
        stated: tuple[Profile, ...] = getattr(self.measure, "__profiles__", ())
        return stated

    @property
    def measure_code(self) -> str:
        """The code of the measure, as it was when the claim was imported."""
        return str(self.measure.__measure_code__)  # type: ignore[attr-defined]

    @property
    def helper_code(self) -> Mapping[str, str]:
        """The code of what the measure uses of its own file, as it was when the claim was imported."""
        return dict(self.measure.__helper_code__)  # type: ignore[attr-defined]

    @property
    def definition_hash(self) -> str:
        """The hash of what is claimed."""
        return definition_hash(self.claim.definition(), self.measure_code)

    @property
    def key(self) -> tuple[str, str, str]:
        """Claim, model and protocol: unique in a run."""
        return self.claim.id, self.model, self.protocol.name

    @property
    def is_control(self) -> bool:
        """Whether the model was planted for this claim."""
        return self.expected is not None

    @property
    def reads_corpus(self) -> bool:
        """Whether `--claims-corpus` decides what it is measured on: all but regression is asked of stories."""
        return not isinstance(self.protocol.task, RegressionTask)

    @property
    def passes(self) -> str:
        """A name for the passes that measure it: cases share it that share them; one process at a time makes them."""
        return f"{self.model} on {'stories' if self.reads_corpus else 'prompts'}"

    @property
    def is_reanalysis(self) -> bool:
        """Whether the paper looked at this model on one of these seeds."""
        seen = set(parse_seeds(self.claim.seen_seeds)) if self.claim.seen_seeds else set()
        return self.model in self.claim.made_about and not seen.isdisjoint(self.seeds)


def registered_seeds(claim: Claim, protocol: Protocol, model: str) -> tuple[int, ...]:
    """The seeds that a claim registered for a model.

    Under any but the published protocol a model that the paper was made about gets as many seeds, taken from
    behind those that the paper looked at.
    """
    seeds = parse_seeds(claim.seeds)
    if model in claim.made_about and claim.seen_seeds and protocol.name != "published":
        return parse_seeds(str(len(seeds)), first=parse_seeds(claim.seen_seeds)[-1] + 1)
    return seeds


def cases_of(claim: Claim, measure: Measure, models: Sequence[str], seeds: str | None) -> Iterator[Case]:
    """All cases of a claim: its controls with their own seeds, then its models.

    A model that is one of the controls has that case alone: a second one would take its place in a run, at other seeds.

    Args:
        claim: the claim.
        measure: the test function that measures it.
        models: models to run instead of the registered ones of the same kind; empty for the registered ones.
        seeds: `--claims-seeds`, or None for the registered ones; a count starts at the first registered seed.
    """
    first = claim.protocols[0]
    for model, expected in claim.controls.items():
        yield Case(claim, measure, first, model, parse_seeds(claim.control_seeds), True, expected)
    for asked in claim.protocols:
        for model in _models_of(claim, asked, models):
            protocol = protocols_on(claim, model).get(asked.name)
            if protocol is None or model in claim.controls:
                continue
            registered = registered_seeds(claim, protocol, model)
            chosen = parse_seeds(seeds, first=registered[0]) if seeds else registered
            yield Case(claim, measure, protocol, model, chosen, chosen == registered)


def protocols_on(claim: Claim, model: str) -> dict[str, Protocol]:
    """The claim's protocols by name as a model runs them.

    A model that brings a task along runs the first of them alone, as the protocol `OWN_TASK`: with that task in place
    of the protocol's, but the protocol's pair and number of queries. The claim itself stays as it was registered.
    """
    task = registry.own_task(model)
    if task is None:
        return {protocol.name: protocol for protocol in claim.protocols}
    first = claim.protocols[0]
    if not isinstance(first.task, RegressionTask) or first.task.dataset.startswith(ABOUT_ITS_DATA):
        return {}
    return {first.name: _with_own_task(first, first.task, task)}


def _with_own_task(protocol: Protocol, asked: RegressionTask, own: RegressionTask) -> Protocol:
    """The protocol with a model's own data, number of examples and template, which its note says."""
    task = replace(own, pair=asked.pair, queries_per_seed=asked.queries_per_seed)
    note = (
        f"the model's own task: {own.dataset}, {own.examples} examples, template {own.template!r}, in place of "
        f"{asked.dataset}, {asked.examples} examples, template {asked.template!r}, which the model cannot read; the "
        f"smallest effects are those registered for the latter. "
        f"Of the registered protocol {protocol.name}: “{protocol.note}”"
    )
    return replace(protocol, name=OWN_TASK, task=task, note=note)


def _models_of(claim: Claim, protocol: Protocol, chosen: Sequence[str]) -> tuple[str, ...]:
    """The models of a protocol, or those chosen instead; what is said of named candidates holds for no other model."""
    if claim.named and not claim.search:
        return tuple(model for model in chosen or protocol.models if model in claim.named)
    kinds = {registry.kind(model) for model in protocol.models}
    if "language" in kinds and claim.needs and claim.needs <= ANSWERED:
        kinds.add("regressor")
    replacing = tuple(model for model in chosen if registry.kind(model) in kinds)
    kept = tuple(model for model in protocol.models if not chosen or registry.kind(model) in OF_A_CORPUS)
    return replacing or kept


def models_of(cases: Iterable[Case]) -> set[str]:
    """The models of these cases, without their controls."""
    return {case.model for case in cases if not case.is_control}


def claims_controlled_by(model: str, cases: Iterable[Case]) -> tuple[str, ...]:
    """The claims of these cases that a model is a control of."""
    return tuple(dict.fromkeys(case.claim.id for case in cases if case.is_control and case.model == model))


def asked_for(claim: Claim) -> str:
    """What a model must show to be of use to a claim, in words."""
    if claim.named and not claim.search:
        return f"what this claim says of {', '.join(claim.named)}"
    return f"what this claim needs ({', '.join(sorted(claim.needs)) or 'a model of the kind that its protocols name'})"
