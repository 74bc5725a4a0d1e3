"""Regression prompts as tokens of a model, and what the prompts of a seed share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from optim_hunter.claim import UserError
from optim_hunter.models.language import Encoded, LanguageModel
from optim_hunter.observe.decoding import MAX_NEW_TOKENS
from optim_hunter.tasks.prompts import Prompt, Value, number_text, regression_prompt, tokens_of
from optim_hunter.tasks.regression import Episode, RegressionTask, draw, with_another_last_example


@dataclass(frozen=True)
class PosedPrompt:
    """A prompt as it is put to a model."""

    episode: Episode
    query: int
    prompt: Prompt
    encoded: Encoded

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"seed {self.episode.seed}" + (f", query {self.query}" if self.query else "")

    @property
    def ids(self) -> list[int]:
        """Its tokens."""
        return self.encoded.ids

    @property
    def written_tokens(self) -> set[int]:
        """The distinct tokens of its text; BOS stands for no text."""
        return {
            token for token, (start, end) in zip(self.encoded.ids, self.encoded.offsets, strict=True) if end > start
        }

    @property
    def test_case_start(self) -> int:
        """Position of the test case's first token: the one after the last output's."""
        last = next(value for value in reversed(self.prompt.values) if value.kind == "output")
        return tokens_of(last, self.encoded.offsets)[-1] + 1

    @property
    def last_example_start(self) -> int:
        """Position of the last example's first token; 0 where it is the only one."""
        outputs = [value for value in self.prompt.values if value.kind == "output"]
        return tokens_of(outputs[-2], self.encoded.offsets)[-1] + 1 if len(outputs) > 1 else 0

    def positions_of(self, kind: str) -> list[int]:
        """Positions of the tokens of all earlier values of a kind (`output` or `feature`)."""
        return self._tokens_of(value for value in self.prompt.values if value.kind == kind)

    @property
    def query_positions(self) -> list[int]:
        """Positions of the tokens of the test case's features."""
        last = self.prompt.values[-1].example
        return self._tokens_of(value for value in self.prompt.values if value.example == last)

    def _tokens_of(self, values: Iterable[Value]) -> list[int]:
        return [position for value in values for position in tokens_of(value, self.encoded.offsets)]


def pose(model: LanguageModel, task: RegressionTask, seed: int, query: int = 0) -> PosedPrompt:
    """The prompt of a seed's query.

    Raises:
        UserError: with its answer it is longer than the model's context.
    """
    return _posed(model, task, draw(task, seed, query), query)


def pose_changed(model: LanguageModel, task: RegressionTask, seed: int, query: int = 0) -> PosedPrompt:
    """The same prompt with another last example.

    Raises:
        UserError: it is too long, or the seed draws no further example.
    """
    return _posed(model, task, with_another_last_example(task, seed, query), query)


def _posed(model: LanguageModel, task: RegressionTask, episode: Episode, query: int) -> PosedPrompt:
    prompt = regression_prompt(episode, task.template)
    posed = PosedPrompt(episode, query, prompt, model.encode(prompt.text))
    length = len(posed.ids) + MAX_NEW_TOKENS
    if length > model.context:
        raise UserError(
            f"the prompt of seed {episode.seed} with {task.examples} examples takes {length:,} tokens with its answer, "
            f"but {model.name} reads at most {model.context:,}: "
            "choose a model with a longer context or a task with fewer examples"
        )
    return posed


def answer_tokens(model: LanguageModel, posed: PosedPrompt, number: float) -> list[int]:
    """The tokens that a number takes as answer, after the prompt, with the line end that closes it.

    Many tokenizers join a minus sign with the space before it. The prompt ends in a token that is this space, so what
    follows there is the sign by itself, and then the digits.

    Raises:
        UserError: the tokenizer joins the prompt's end with the answer.
    """
    text = number_text(number)
    joined = model.encode(posed.prompt.text + text + "\n\n").ids
    if joined[: len(posed.ids)] != posed.ids:
        sign = model.tokenizer("-", add_special_tokens=False)["input_ids"]
        if text.startswith("-") and model.decode(sign) == "-":
            return [*sign, *answer_tokens(model, posed, -number)]
        raise UserError(
            f"the tokenizer of {model.name} joins the prompt's last space with the answer, "
            "so that no token of the prompt predicts the answer: choose a model whose tokenizer splits digits"
        )
    return joined[len(posed.ids) :]


def stems(levels: Sequence[Sequence[Sequence[int]]]) -> list[int]:
    """How many tokens, from the start, are run once for all prompts of each level and of those after it.

    A last level with a single prompt shares nothing further: its number is that of the level before.

    >>> stems([[[1, 2, 3, 9]], [[1, 2, 3, 4, 5, 7], [1, 2, 3, 4, 5, 8]]])
    [3, 5]
    """
    lengths: list[int] = []
    for level in range(len(levels)):
        later = [prompt for prompts in levels[level:] for prompt in prompts]
        shared = lengths[-1] if lengths else 0
        lengths.append(shared if len(later) == 1 else common_prefix(later))
    return lengths


def common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Tokens that all prompts share at their start, leaving at least one of each."""
    shortest = min(map(len, prompts)) - 1
    for place in range(shortest):
        if any(prompt[place] != prompts[0][place] for prompt in prompts):
            return place
    return shortest
