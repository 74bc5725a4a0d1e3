"""One batch: the prompts of several seeds, run side by side, each token that prompts of a seed share run once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby

from optim_hunter.claim import InvalidInstrument
from optim_hunter.observe.attribution import attention_mass, attribute, closure_error
from optim_hunter.observe.checks import require
from optim_hunter.observe.decoding import Decoding, decode_greedily
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.instruments import Look, Reading, TokenReading
from optim_hunter.observe.observation import Answer, Part
from optim_hunter.observe.posed import Posed, baseline_tokens, stems
from optim_hunter.observe.streams import Stream
from optim_hunter.tasks.answers import first_line
from optim_hunter.tasks.prompts import number_text
from optim_hunter.tasks.regression import RegressionTask

Missing = Mapping[RegressionTask, Set[str]]
"""What has yet to be seen, task by task; the same for all seeds of a batch."""

Pair = tuple[int, int]
"""Token of the mean baseline's answer and of the model's own, where they first differ."""


@dataclass(frozen=True)
class Shown:
    """A part that a batch showed, and of what."""

    task: RegressionTask
    posed: Posed
    need: str
    part: Part


@dataclass(frozen=True)
class Batch:
    """Seeds whose prompts are run side by side.

    Attributes:
        engine: runs the model.
        seeds: one row of the stem each.
        missing: what is asked.
        pose: task, seed, query → prompt.
        reference: the pair of tokens of a task that takes one pair for all seeds (None: there is none).
    """

    engine: Engine
    seeds: Sequence[int]
    missing: Missing
    pose: Callable[[RegressionTask, int, int], Posed]
    reference: Callable[[RegressionTask], Pair | None]

    def run(self) -> Iterator[Shown]:
        """Run all prompts, those with fewer examples first, and show what was asked.

        Raises:
            InvalidInstrument: logits are not finite, or a check of the instruments fails.
        """
        levels = self._levels()
        posed = [self._posed(level) for level in levels]
        lengths = [stems([[one.ids for one in level[row]] for level in posed]) for row in range(len(self.seeds))]
        stem, done = self.engine.start(len(self.seeds)), [0] * len(self.seeds)
        for index, level in enumerate(levels):
            until = [row[index] for row in lengths]
            rows = posed[index]
            self.engine.advance(
                stem, [row[0].ids[start:end] for row, start, end in zip(rows, done, until, strict=True)]
            )
            done, queries = until, len(rows[0])
            alone = index == len(levels) - 1 and queries == 1
            stream = stem if alone else stem.branch(queries)
            segments = [one.ids[start:] for row, start in zip(rows, done, strict=True) for one in row]
            yield from self._show(level, [one for row in rows for one in row], stream, segments)

    def _levels(self) -> list[list[RegressionTask]]:
        """Tasks that put the same prompts, in ascending number of examples."""
        ordered = sorted(self.missing, key=lambda task: task.examples)
        return [list(level) for _, level in groupby(ordered, key=lambda task: task.examples)]

    def _posed(self, level: Sequence[RegressionTask]) -> list[list[Posed]]:
        queries = range(max(task.queries_per_seed for task in level))
        return [[self.pose(level[0], seed, query) for query in queries] for seed in self.seeds]

    def _show(
        self, level: Sequence[RegressionTask], prompts: Sequence[Posed], stream: Stream, segments: Sequence[list[int]]
    ) -> Iterator[Shown]:
        labels = [posed.label for posed in prompts]
        rows = any("attention" in self.missing[task] for task in level)
        seen = self.engine.read(stream, segments, Look(rows=rows), labels)
        decodings = self._decode(prompts, stream, seen, labels) if any(map(self._answers, level)) else {}
        for task in level:
            for row, posed in enumerate(prompts):
                for need in self._needs(task) if posed.query < task.queries_per_seed else ():
                    part = self._part(task, need, posed, seen, row, decodings.get(row))
                    yield Shown(task, posed, need, self._checked(part, posed, seen.last_token(row)))

    def _needs(self, task: RegressionTask) -> list[str]:
        """In the order in which they are shown: the answer first, which may hold the pair of the attribution."""
        return [need for need in ("answer", "attribution", "attention") if need in self.missing[task]]

    def _answers(self, task: RegressionTask) -> bool:
        """Whether a task needs the greedy answer."""
        needs = self.missing[task]
        return "answer" in needs or ("attribution" in needs and task.pair == "own")

    def _decode(
        self, prompts: Sequence[Posed], stream: Stream, seen: Reading, labels: Sequence[str]
    ) -> dict[int, Decoding]:
        baselines = [baseline_tokens(self.engine.model, posed) for posed in prompts]
        return dict(enumerate(decode_greedily(self.engine, stream, seen, baselines, labels)))

    def _part(
        self, task: RegressionTask, need: str, posed: Posed, seen: Reading, row: int, decoding: Decoding | None
    ) -> Part:
        if need == "attention":
            return _attention(posed, seen, row)
        parted = _parted(self.engine, posed, decoding) if decoding is not None else None
        if need == "answer":
            assert decoding is not None
            text = self.engine.model.decode(decoding.answer)
            return Part(Answer(text, decoding.ended, parted[1] if parted else None), {})
        if task.pair != "own":
            pair = self.reference(task)
            parted = (seen.last_token(row), pair) if pair is not None else None
        return Part(None, {}) if parted is None else _attribution(self.engine, posed, *parted)

    def _checked(self, part: Part, posed: Posed, seen: TokenReading) -> Part:
        """The part with the checks that hold for every prompt, whatever is asked of it."""
        model = self.engine.model
        prompt = {"residual stream": closure_error(seen.writes, seen.residual)}
        checks = {**prompt, **part.checks, "model's own logits": self.engine.disagreement}
        try:
            require(checks, model.dtype)
        except InvalidInstrument as error:
            raise InvalidInstrument(f"{model.name}, {posed.label}: {error}") from None
        return Part(part.shown, checks)


def _attention(posed: Posed, seen: Reading, row: int) -> Part:
    assert seen.rows_error is not None
    rows = seen.rows[row][:, :, -1]
    checks = {"attention rows": float(seen.rows_error[row]), "row sums": float((rows.sum(-1) - 1).abs().max())}
    return Part(attention_mass(rows, posed.positions_of("output"), posed.positions_of("feature")), checks)


def _parted(engine: Engine, posed: Posed, decoding: Decoding) -> tuple[TokenReading, Pair] | None:
    """Where an answer leaves the baseline's; None where it is the same number."""
    answer = first_line(engine.model.decode(decoding.answer))
    same = answer == number_text(float(posed.episode.outputs.mean()))
    return None if same else decoding.parted


def _attribution(engine: Engine, posed: Posed, seen: TokenReading, pair: Pair) -> Part:
    words = engine.model.decode([pair[0]]), engine.model.decode([pair[1]])
    return Part(*attribute(seen, engine.parts, pair, words, posed.written_tokens))
