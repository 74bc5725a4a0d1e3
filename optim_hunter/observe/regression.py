"""The pass over regression prompts: what claims ask of a model is recalled from the store, or run, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from optim_hunter.claim import UserError
from optim_hunter.observe.ablation import OTHER_SEEDS, OtherSeeds
from optim_hunter.observe.batch import Batch, Missing, Shown
from optim_hunter.observe.candidates import FITTED
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.kept import PartStore
from optim_hunter.observe.memory import has_memory_for
from optim_hunter.observe.observation import ACTIVATION_LAYERS, Part, RegressionObservation
from optim_hunter.observe.parts import REFERENCES, Sources, takes_seed_0s
from optim_hunter.observe.plan import Plan
from optim_hunter.observe.posed import pose, pose_changed
from optim_hunter.observe.predictions import Predictors
from optim_hunter.observe.token_rows import TokenRow, token_row
from optim_hunter.tasks.prompts import regression_prompt
from optim_hunter.tasks.regression import RegressionTask, draw

ROW = "attention row"
"""What the store calls a row."""

POSED_PROMPTS = 1024
"""Prompts that are kept as tokens."""


class RegressionPass:
    """Shows what a plan of one stem asks of one language model, seed by seed, and remembers it.

    `batch_seeds` seeds run side by side; each of `out_of_memory` times it was halved.
    """

    def __init__(self, engine: Engine, plan: Plan, store: PartStore) -> None:
        assert len({task.stem for task in plan}) <= 1, "prompts of one level are taken to be alike"
        self.engine, self.plan, self.store = engine, dict(plan), store
        self.batch_seeds = 0
        self.out_of_memory = 0
        self.pose = lru_cache(POSED_PROMPTS)(partial(pose, engine.model))
        own = {_fitted(task): asked for task, asked in plan.items() if task.pair == "own"}
        self._predictors = Predictors([*FITTED.values()], {"": own}, store.files, "candidates")
        self._sources = Sources(
            self._reference, self._predictions, lru_cache(None)(self._others), partial(pose_changed, engine.model)
        )
        self._looked_at = False
        self._left_out: dict[RegressionTask, UserError] = {}
        self._parts: dict[tuple[RegressionTask, int, int, str], Part] = {}

    def prepare(self, task: RegressionTask, seeds: Iterable[int]) -> None:
        """Before long work: look at the prompts, recall what is kept, and open the model if anything is lacking.

        Raises:
            UserError: a prompt is longer than the model's context, or the model cannot be opened.
            InvalidInstrument: the pass does not compute what the model's own code does.
        """
        missing = [seed for seed in seeds if task in self._missing(seed)]
        if missing and not self._looked_at:
            self._leave_out_long_prompts()
        if task in self._left_out:
            raise self._left_out[task]
        if missing:
            self.engine.open()
        if any("activations" in self.plan[task][seed] for seed in missing):
            self.engine.parts.neurons(ACTIVATION_LAYERS)

    def observe(self, task: RegressionTask, seed: int, query: int = 0) -> RegressionObservation:
        """What the model showed of a seed's query under a task of the plan.

        Raises:
            UserError: the prompt is longer than the model's context, or memory does not suffice for one seed.
            InvalidInstrument: the model gives NaN, or a check of the instruments fails.
        """
        if task in self._missing(seed):
            self._see(self._chunk(seed))
        parts = {need: self._parts[task, seed, query, need] for need in self.plan[task][seed]}
        return RegressionObservation.of(draw(task, seed, query), parts)

    def attention_row(self, task: RegressionTask, seed: int, layer: int, head: int) -> TokenRow:
        """Where a head looks from the last token of a seed's first prompt.

        Raises:
            UserError: the model cannot be opened.
        """
        prompt, place = regression_prompt(draw(task, seed), task.template).text, (layer, head)
        kept = self.store.get(ROW, prompt, place)
        if kept is None:
            kept = Part(token_row(self.engine, self.pose(task, seed, 0), layer, head), {})
            self.store.put(ROW, prompt, place, kept)
        row: TokenRow = kept.shown
        return row

    def _leave_out_long_prompts(self) -> None:
        """Take tasks out of the plan whose prompts the model cannot read, so that they do not spoil the others."""
        self._looked_at = True
        self.engine.model.open_text()
        for task, asked in list(self.plan.items()):
            try:
                for seed in asked:
                    self.pose(task, seed, 0)
            except UserError as error:
                self._left_out[task] = error
                del self.plan[task]

    # what is known

    def _missing(self, seed: int) -> dict[RegressionTask, frozenset[str]]:
        """What has not been seen of a seed; what the store has of it is recalled."""
        missing = {}
        for task, needs in self._asked_of(seed).items():
            if lacking := frozenset(need for need in needs if self._lacks(task, seed, need)):
                missing[task] = lacking
        return missing

    def _asked_of(self, seed: int) -> dict[RegressionTask, frozenset[str]]:
        """Task → what claims need of a seed."""
        return {task: frozenset(asked[seed]) for task, asked in self.plan.items() if seed in asked}

    def _lacks(self, task: RegressionTask, seed: int, need: str) -> bool:
        return not all(self._recall(task, seed, query, need) for query in range(task.queries_per_seed))

    def _recall(self, task: RegressionTask, seed: int, query: int, need: str) -> bool:
        """Whether a part is known, after a look into the store."""
        key = task, seed, query, need
        if key not in self._parts and self._knows_reference(*key):
            kept = self.store.get(need, _text(task, seed, query), self._compared(*key))
            if kept is not None:
                self._parts[key] = kept
        return key in self._parts

    def _knows_reference(self, task: RegressionTask, seed: int, query: int, need: str) -> bool:
        """Whether the tokens that a part compares are known, where they are seed 0's."""
        return not takes_seed_0s(task, seed, query, need) or self._recall(task, 0, 0, REFERENCES[need].need)

    def _reference(self, task: RegressionTask, need: str) -> Any:
        """Seed 0's tokens."""
        reference = REFERENCES[need]
        return reference.tokens(self._parts[task, 0, 0, reference.need].shown)

    def _compared(self, task: RegressionTask, seed: int, query: int, need: str) -> Any:
        """The compared tokens as the store knows them."""
        if need not in REFERENCES:
            return None
        return self._reference(task, need) if takes_seed_0s(task, seed, query, need) else "own"

    def _predictions(self, task: RegressionTask, seed: int, query: int) -> Mapping[str, float]:
        return self._predictors.predictions(_fitted(task), seed, query)

    def _others(self, task: RegressionTask) -> OtherSeeds:
        """Made once a task: what other seeds give in the place of a seed's own."""
        return OtherSeeds(self.engine, [self.pose(task, seed, 0) for seed in OTHER_SEEDS])

    # what is run

    def _chunk(self, seed: int) -> Sequence[int]:
        """The seeds that run side by side: of which the same is asked, of like length, whichever comes first."""
        seeds = set().union(*self.plan.values())
        if not self.batch_seeds:
            self.batch_seeds = max(1, self.engine.tokens_at_once // max(map(self._tokens_of, seeds)))
        alike = [one for one in seeds if self._asked_of(one) == self._asked_of(seed)]
        ordered = sorted(alike, key=lambda one: (self._tokens_of(one), one))
        start = ordered.index(seed) // self.batch_seeds * self.batch_seeds
        return sorted(ordered[start : start + self.batch_seeds])  # seed 0 first: its answer may give others their pair

    def _tokens_of(self, seed: int) -> int:
        """Tokens of a seed: at most its longest prompt and, for each further query, one example more."""
        lengths = {task: len(self.pose(task, seed, 0).ids) for task in self._asked_of(seed)}
        return max(length + task.queries_per_seed * length // task.examples for task, length in lengths.items())

    def _see(self, seeds: Sequence[int]) -> None:
        """Run what is missing of these seeds; those that lack the same run side by side."""
        missing = {seed: self._missing(seed) for seed in seeds}
        for wanted in {frozenset(one.items()): one for one in missing.values() if one}.values():
            self._run([seed for seed in seeds if missing[seed] == wanted], wanted)

    def _run(self, seeds: Sequence[int], wanted: Missing) -> None:
        """Run seeds side by side, half as many where memory does not suffice."""
        while seeds:
            batch = seeds[: self.batch_seeds]
            asked = {task: self._with_reference(task, frozenset(needs), batch) for task, needs in wanted.items()}
            if has_memory_for(partial(self._keep_all, Batch(self.engine, batch, asked, self.pose, self._sources))):
                seeds = seeds[len(batch) :]
            else:
                self._halve(len(batch))

    def _keep_all(self, batch: Batch) -> None:
        """Run a batch; each part is kept before the next is made, since a pair may come from seed 0 of this batch."""
        for shown in batch.run():
            self._keep(shown)

    def _with_reference(self, task: RegressionTask, needs: frozenset[str], seeds: Sequence[int]) -> frozenset[str]:
        """See to it that the tokens of seed 0 will be known when parts of these seeds are made that compare them."""
        lacking = self._lacking_references(task, needs)
        if 0 in seeds or not lacking:
            return needs | lacking
        if 0 in self.plan[task]:
            self._see(self._chunk(0))
        if lacking := self._lacking_references(task, needs):
            self._run([0], {task: lacking})
        return needs

    def _lacking_references(self, task: RegressionTask, needs: frozenset[str]) -> frozenset[str]:
        """What must be seen of seed 0 first."""
        if task.pair == "own":
            return frozenset()
        wanted = {REFERENCES[need].need for need in needs & REFERENCES.keys()}
        return frozenset(need for need in wanted if not self._recall(task, 0, 0, need))

    def _halve(self, seeds: int) -> None:
        if seeds == 1:
            raise UserError(
                f"{self.engine.model.name}: memory of {self.engine.device} does not suffice for the prompts of one "
                "seed: try --claims-dtype bfloat16, fewer queries or examples, or a larger device"
            )
        self.out_of_memory += 1
        self.batch_seeds = min(self.batch_seeds, (seeds + 1) // 2)
        self.engine.free_memory()

    def _keep(self, shown: Shown) -> None:
        task, need, posed = shown.task, shown.need, shown.posed
        self._parts[task, posed.episode.seed, posed.query, need] = shown.part
        compared = self._compared(task, posed.episode.seed, posed.query, need)
        self.store.put(need, posed.prompt.text, compared, shown.part)


@lru_cache(POSED_PROMPTS)
def _text(task: RegressionTask, seed: int, query: int) -> str:
    """The prompt of a seed's query: the key of all that is kept of it."""
    return regression_prompt(draw(task, seed, query), task.template).text


def _fitted(task: RegressionTask) -> RegressionTask:
    """The task as regressors see it: neither words nor pair matter to them."""
    return replace(task, pair="own", template="published")
