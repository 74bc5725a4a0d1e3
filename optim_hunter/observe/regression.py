"""The pass: every regression prompt of a seed is run once, and shows what all claims asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import DynamicCache

from optim_hunter.claim import InvalidInstrument, UserError
from optim_hunter.models.language import Encoded, LanguageModel
from optim_hunter.observe.attribution import attention_mass, attribute
from optim_hunter.observe.checks import require
from optim_hunter.observe.instruments import Reading, decoder_parts, read_last_position
from optim_hunter.observe.observation import RegressionObservation
from optim_hunter.observe.plan import Plan
from optim_hunter.tasks.answers import first_line
from optim_hunter.tasks.prompts import Prompt, number_text, regression_prompt, tokens_of
from optim_hunter.tasks.regression import Episode, RegressionTask, draw

MAX_NEW_TOKENS = 16
"""Length of a generated answer, as in the published runs."""


@dataclass
class Decoding:
    """A prompt under way: its tokens, the answer so far, and where it left the baseline's answer."""

    tokens: list[int]
    baseline: list[int]
    answer: list[int]
    divergence: tuple[Reading, tuple[int, int]] | None = None
    ended: bool = False


class RegressionPass:
    """Runs the prompts of a plan on one language model, seed by seed, and remembers what they showed."""

    def __init__(self, model: LanguageModel, plan: Plan) -> None:
        self.model = model
        self.plan = dict(sorted(plan.items(), key=lambda entry: (entry[0].examples, entry[0].pair)))
        self.parts = decoder_parts(model.module)
        self.forward_passes = 0
        self.tokens_run = 0
        self._seen: dict[int, dict[RegressionTask, RegressionObservation]] = {}
        self._reference: dict[RegressionTask, tuple[int, int] | None] = {}

    def observe(self, task: RegressionTask, seed: int) -> RegressionObservation:
        """What the model showed of a seed under a task of the plan.

        Raises:
            UserError: the prompt is longer than the model's context.
            InvalidInstrument: the model gives NaN, or a check of the instruments fails.
        """
        if seed not in self._seen:
            self._seen[seed] = self._observe_seed(seed)
        return self._seen[seed][task]

    def check_length(self, task: RegressionTask, seed: int) -> None:
        """Raise a UserError, before any pass is made, when a prompt with its answer exceeds the context."""
        encoded = self.model.encode(regression_prompt(draw(task, seed)).text)
        length = len(encoded.ids) + MAX_NEW_TOKENS
        if length > self.model.context:
            raise UserError(
                f"the prompt of seed {seed} with {task.examples} examples takes {length:,} tokens with its answer, "
                f"but {self.model.name} reads at most {self.model.context:,}: "
                "choose a model with a longer context or a task with fewer examples"
            )

    @torch.inference_mode()
    def _observe_seed(self, seed: int) -> dict[RegressionTask, RegressionObservation]:
        cache = DynamicCache(config=self.model.module.config)
        before: list[int] = []
        shown = {}
        for task, asked in self.plan.items():
            if seed not in asked.seeds:
                continue
            needs = frozenset(asked.needs)
            episode = draw(task, seed)
            prompt = regression_prompt(episode)
            encoded = self.model.encode(prompt.text)
            shared = _common_prefix(before, encoded.ids)
            if before:
                cache.crop(shared - int(cache.get_seq_length()))
            seen = self._run(encoded.ids[shared:], cache, seed, rows="attention" in needs)
            shown[task] = self._show(task, needs, episode, prompt, encoded, seen, cache)
            before = encoded.ids
        return shown

    def _show(
        self, task: RegressionTask, needs: frozenset[str], episode: Episode, prompt: Prompt, encoded: Encoded,
        seen: Reading, cache: DynamicCache,
    ) -> RegressionObservation:  # fmt: skip
        shown = RegressionObservation(episode, needs)
        if "attention" in needs:
            shown = replace(shown, attention_mass=self._attention(prompt, encoded.offsets, seen))
            shown.checks["attention rows"] = seen.rows_error
        if "answer" in needs or ("attribution" in needs and task.pair == "own"):
            decoding = self._decode(prompt, encoded.ids, episode, seen, cache)
            shown = replace(shown, answer=self.model.decode(decoding.answer))
            shown = replace(shown, answer_ended=decoding.ended)
            apart = first_line(shown.answer or "") != number_text(shown.average)
            if task.pair == "own" and apart and decoding.divergence:
                shown = self._with_attribution(shown, needs, *decoding.divergence, encoded)
        reference = self._reference_pair(task) if "attribution" in needs and task.pair == "seed 0" else None
        if reference is not None:
            shown = self._with_attribution(shown, needs, seen, reference, encoded)
        require(
            shown.checks, str(self.model.module.dtype).removeprefix("torch."), f"{self.model.name}, seed {episode.seed}"
        )
        return shown

    def _with_attribution(
        self, shown: RegressionObservation, needs: frozenset[str], seen: Reading, pair: tuple[int, int], prompt: Encoded
    ) -> RegressionObservation:
        if "attribution" not in needs:
            return shown
        words = (self.model.decode([pair[0]]), self.model.decode([pair[1]]))
        attribution, checks = attribute(seen, self.parts, pair, words, _written_tokens(prompt))
        return replace(shown, attribution=attribution, checks=shown.checks | checks)

    def _attention(self, prompt: Prompt, offsets: list[tuple[int, int]], seen: Reading) -> Any:
        positions: dict[str, list[int]] = {"output": [], "feature": []}
        for value in prompt.values:
            positions[value.kind] += tokens_of(value, offsets)
        return attention_mass(seen.rows, positions["output"], positions["feature"])

    def _decode(self, prompt: Prompt, ids: list[int], episode: Episode, seen: Reading, cache: DynamicCache) -> Decoding:
        """Greedy answer up to the end of its line, noting the step at which it leaves the mean baseline's."""
        decoding = Decoding(ids, self._answer_tokens(prompt, ids, number_text(float(episode.outputs.mean()))), [])
        for step in range(MAX_NEW_TOKENS):
            token = int(seen.logits.argmax())
            decoding.answer.append(token)
            expected = decoding.baseline[step] if step < len(decoding.baseline) else None
            if decoding.divergence is None and expected is not None and token != expected:
                decoding.divergence = (seen, (expected, token))
            if token in self.model.end_tokens or "\n" in self.model.decode([token]):
                decoding.ended = True
                break
            if step + 1 < MAX_NEW_TOKENS:
                seen = self._run([token], cache, episode.seed)
        return decoding

    def _answer_tokens(self, prompt: Prompt, ids: list[int], answer: str) -> list[int]:
        """The tokens that an answer takes after the prompt, with the line end that closes it."""
        joined = self.model.encode(prompt.text + answer + "\n\n").ids
        if joined[: len(ids)] != ids:
            raise UserError(
                f"the tokenizer of {self.model.name} joins the prompt's last space with the answer, "
                "so that no token of the prompt predicts the answer: choose a model whose tokenizer splits digits"
            )
        return joined[len(ids) :]

    def _reference_pair(self, task: RegressionTask) -> tuple[int, int] | None:
        """Seed 0's pair of answer tokens where they first differ: the mean baseline's and the model's own."""
        if task not in self._reference:
            episode = draw(task, 0)
            prompt = regression_prompt(episode)
            ids = self.model.encode(prompt.text).ids
            cache = DynamicCache(config=self.model.module.config)
            decoding = self._decode(prompt, ids, episode, self._run(ids, cache, 0), cache)
            self._reference[task] = decoding.divergence[1] if decoding.divergence else None
        return self._reference[task]

    def _run(self, ids: list[int], cache: DynamicCache, seed: int, rows: bool = False) -> Reading:
        module: Any = self.model.module
        tokens = torch.tensor([ids], device=module.device)
        self.forward_passes += 1
        self.tokens_run += len(ids)
        seen = read_last_position(
            module,
            self.parts,
            lambda: module(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1),
            rows,
        )
        if not bool(torch.isfinite(seen.logits).all()):
            raise InvalidInstrument(
                f"{self.model.name} gives logits that are not finite on seed {seed}: "
                "check its weights, or try --claims-dtype float32"
            )
        return seen


def _written_tokens(prompt: Encoded) -> set[int]:
    """The distinct tokens of a prompt's text; BOS stands for no text."""
    return {token for token, (start, end) in zip(prompt.ids, prompt.offsets, strict=True) if end > start}


def _common_prefix(first: list[int], second: list[int]) -> int:
    """Tokens that two prompts share at their start, leaving at least one of the second to be run."""
    shared = 0
    while shared < min(len(first), len(second) - 1) and first[shared] == second[shared]:
        shared += 1
    return shared
