"""One batch: the prompts of several seeds, run side by side, each token that prompts of a seed share run once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby

from jaxtyping import Float
from torch import Tensor

from optim_hunter.claim import InvalidInstrument
from optim_hunter.observe.ablation import ABLATIONS, ablate
from optim_hunter.observe.attribution import closure_error
from optim_hunter.observe.checks import require
from optim_hunter.observe.decoding import Decoding, decode_greedily
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.induction import label_tokens
from optim_hunter.observe.instruments import Capture, Places, Reading
from optim_hunter.observe.neurons import group_of, groups
from optim_hunter.observe.observation import ACTIVATION_LAYERS, Part
from optim_hunter.observe.parts import PARTS, PromptReading, Sources, site_of
from optim_hunter.observe.patching import patch
from optim_hunter.observe.posed import PosedPrompt, answer_tokens, stems
from optim_hunter.observe.streams import Stream
from optim_hunter.observe.sums import GroupSums
from optim_hunter.tasks.regression import RegressionTask

Missing = Mapping[RegressionTask, Set[str]]
"""What has yet to be seen, task by task; the same for all seeds of a batch."""

Sums = Float[Tensor, "row layer group neuron"]

UNSHARED_TEST_CASE = {"induction", "activations"}
"""Needs that look at the test case's labels, or tell examples from it: it is then run anew for each prompt."""


INTERVENTIONS = {"patching", *ABLATIONS}
"""Needs for which the token that predicts the pair is run again."""

PAIRED = {"attribution", *INTERVENTIONS}
"""Needs that compare the baseline's answer with the model's own, which is decoded for them."""


@dataclass(frozen=True)
class Shown:
    """A part that a batch showed, and of what."""

    task: RegressionTask
    posed: PosedPrompt
    need: str
    part: Part


@dataclass(frozen=True)
class Level:
    """Tasks that put the same prompts, and the prompts: for each seed one of each query."""

    missing: Missing
    prompts: Sequence[Sequence[PosedPrompt]]

    @property
    def needs(self) -> set[str]:
        """What any of the tasks needs."""
        return {need for needs in self.missing.values() for need in needs}

    @property
    def answers(self) -> bool:
        """Whether any of the tasks needs the greedy answer."""
        own = any(needs & PAIRED and task.pair == "own" for task, needs in self.missing.items())
        return own or "answer" in self.needs

    def sharable(self, row: int) -> list[list[int]]:
        """Of each query, the tokens up to the first that may not be run for several prompts at once."""
        if "patching" in self.needs:
            return [posed.ids[: posed.last_example_start + 1] for posed in self.prompts[row]]
        whole = not self.needs & UNSHARED_TEST_CASE
        return [posed.ids if whole else posed.ids[: posed.test_case_start + 1] for posed in self.prompts[row]]


@dataclass(frozen=True)
class Batch:
    """Seeds whose prompts are run side by side.

    Attributes:
        engine: runs the model.
        seeds: one row of the stem each.
        missing: what is asked.
        pose: task, seed, query → prompt.
        sources: what parts are made of beside the pass.
    """

    engine: Engine
    seeds: Sequence[int]
    missing: Missing
    pose: Callable[[RegressionTask, int, int], PosedPrompt]
    sources: Sources

    def run(self) -> Iterator[Shown]:
        """Run all prompts, those with fewer examples first, and show what was asked.

        Raises:
            InvalidInstrument: logits are not finite, or a check of the instruments fails.
        """
        levels, rows = self._levels(), range(len(self.seeds))
        lengths = [stems([level.sharable(row) for level in levels]) for row in rows]
        stem, done, sums = self.engine.start(len(rows)), [0] * len(rows), None
        for index, level in enumerate(levels):
            until = [row[index] for row in lengths]
            segments = [one[0].ids[start:end] for one, start, end in zip(level.prompts, done, until, strict=True)]
            # Up to here they are the same tokens, but of the test case of one and of an example of the other.
            asking = next((later for later in levels[index:] if "activations" in later.needs), None)
            asked = self._sums([one[0] for one in asking.prompts], done, until) if asking is not None else None
            sums = _added(sums, self.engine.advance(stem, segments, asked))
            done, queries = until, len(level.prompts[0])
            alone = index == len(levels) - 1 and queries == 1
            yield from self._show(level, stem if alone else stem.branch(queries), done, sums)

    def _levels(self) -> list[Level]:
        """Tasks that put the same prompts, in ascending number of examples."""
        ordered = sorted(self.missing, key=lambda task: task.examples)
        return [self._level(list(level)) for _, level in groupby(ordered, key=lambda task: task.examples)]

    def _level(self, tasks: Sequence[RegressionTask]) -> Level:
        queries = range(max(task.queries_per_seed for task in tasks))
        prompts = [[self.pose(tasks[0], seed, query) for query in queries] for seed in self.seeds]
        return Level({task: self.missing[task] for task in tasks}, prompts)

    def _show(self, level: Level, stream: Stream, done: Sequence[int], stem_sums: Sums | None) -> Iterator[Shown]:
        prompts = [posed for row in level.prompts for posed in row]
        queries = len(prompts) // len(done)
        starts = [start for start in done for _ in range(queries)]
        labels = [posed.label for posed in prompts]
        segments = [posed.ids[start:] for posed, start in zip(prompts, starts, strict=True)]
        seen = self.engine.read(stream, segments, self._capture(level, prompts, starts), labels)
        if stem_sums is not None and seen.sums is not None:
            seen.sums = seen.sums + stem_sums.repeat_interleave(queries, 0)
        decodings = self._decode(prompts, stream, seen, labels) if level.answers else [None] * len(prompts)
        each = enumerate(zip(prompts, decodings, strict=True))
        readings = [self._prompt_reading(posed, seen, row, decoding) for row, (posed, decoding) in each]
        for task, needs in level.missing.items():
            for reading in readings:
                for need in (one for one in PARTS if one in needs and reading.posed.query < task.queries_per_seed):
                    yield Shown(task, reading.posed, need, self._checked(PARTS[need](reading, task), reading))
            for need in sorted(needs & INTERVENTIONS):
                yield from self._intervene(task, need, stream, readings)

    def _intervene(
        self, task: RegressionTask, need: str, stream: Stream, readings: Sequence[PromptReading]
    ) -> Iterator[Shown]:
        """All prompts side by side, once their answers are known: that of seed 0 may hold the pair of the others."""
        sites = [site_of(reading, task, need) for reading in readings]
        if need in ABLATIONS:
            parts = ablate(self.engine, stream, sites, self.sources.others(task), need)
        else:
            changed = [self.sources.changed(task, one.posed.episode.seed, one.posed.query) for one in sites]
            parts = patch(self.engine, stream, sites, changed)
        for reading, part in zip(readings, parts, strict=True):
            if reading.posed.query < task.queries_per_seed:
                yield Shown(task, reading.posed, need, self._checked(part, reading))

    def _capture(self, level: Level, prompts: Sequence[PosedPrompt], starts: Sequence[int]) -> Capture:
        rows = bool(level.needs & {"attention", "induction"})
        places = _label_places(prompts, starts) if "induction" in level.needs else None
        sums = None
        if "activations" in level.needs:
            sums = self._sums(prompts, starts, [len(posed.ids) for posed in prompts])
        return Capture(rows=rows, row_positions=places, sums=sums)

    def _sums(self, prompts: Sequence[PosedPrompt], starts: Sequence[int], ends: Sequence[int]) -> GroupSums:
        """Sums of the neurons' activations over the groups of the tokens from starts to ends."""
        _first, modules = self.engine.parts.neurons(ACTIVATION_LAYERS)
        bounds = zip(prompts, starts, ends, strict=True)
        return GroupSums(modules, [group_of(posed)[start:end] for posed, start, end in bounds], groups(prompts[0]))

    def _decode(
        self, prompts: Sequence[PosedPrompt], stream: Stream, seen: Reading, labels: Sequence[str]
    ) -> Sequence[Decoding]:
        baselines = [answer_tokens(self.engine.model, posed, float(posed.episode.outputs.mean())) for posed in prompts]
        return decode_greedily(self.engine, stream, seen, baselines, labels)

    def _prompt_reading(self, posed: PosedPrompt, seen: Reading, row: int, decoding: Decoding | None) -> PromptReading:
        rows = seen.rows[row] if seen.rows else None
        error = float(seen.rows_error[row]) if seen.rows_error is not None else None
        sums = seen.sums[row] if seen.sums is not None else None
        return PromptReading(self.engine, self.sources, posed, seen.last_token(row), rows, error, sums, decoding)

    def _checked(self, part: Part, reading: PromptReading) -> Part:
        """The part with the checks that hold for every prompt, whatever is asked of it."""
        model, seen = self.engine.model, reading.token
        closure = max(closure_error(seen.writes, seen.residual), part.checks.get("residual stream", 0.0))
        checks = {**part.checks, "residual stream": closure, "model's own logits": self.engine.disagreement}
        try:
            require(checks, model.dtype)
        except InvalidInstrument as error:
            raise InvalidInstrument(f"{model.name}, {reading.posed.label}: {error}") from None
        return Part(part.shown, checks)


def _added(sums: Sums | None, further: Sums | None) -> Sums | None:
    """Both, where there are both."""
    if sums is None or further is None:
        return further if sums is None else sums
    return sums + further


def _label_places(prompts: Sequence[PosedPrompt], starts: Sequence[int]) -> Places:
    """Places of the label tokens in each segment, then its last; the last again where a row has fewer labels."""
    each = zip(prompts, starts, strict=True)
    labels = [[token.position - start for token in label_tokens(posed)] for posed, start in each]
    most = max(map(len, labels))
    return [places + [-1] * (most + 1 - len(places)) for places in labels]
