"""A language model as a regressor: the published prompt in, its greedy answer read as a number out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import NoValue, UserError
from optim_hunter.models.language import LanguageModel, check_language_model
from optim_hunter.tasks.answers import parse_number
from optim_hunter.tasks.prompts import regression_prompt
from optim_hunter.tasks.regression import Episode
from optim_hunter.tasks.results import RegressionResult, RegressorCallable, given_data, performance


def create_llm_regressor(
    model: LanguageModel, model_name: str, max_new_tokens: int = 16, temperature: float = 0.0
) -> RegressorCallable:
    """A regressor that asks a language model: `__name__` is `llm-<model_name>`, `is_llm` is True.

    An answer that is no number predicts NaN; `metadata["answers"]` holds every answer's text, `metadata["missing"]` the
    reasons. With one new token the first token alone is read as a number, as the logit differences compare it;
    with more an answer that does not end is no number.

    Raises:
        UserError: no language model, a temperature other than 0, or no token to answer with.
    """
    check_language_model(model)
    if temperature != 0.0:
        raise UserError(f"temperature {temperature}: answers are greedy, so that a seed gives one; pass 0.0")
    if max_new_tokens < 1:
        raise UserError(f"max_new_tokens {max_new_tokens}: an answer takes one token at least")
    return LlmRegressor(model, model_name, max_new_tokens)


class LlmRegressor:
    """What `create_llm_regressor` makes."""

    is_llm = True

    def __init__(self, model: LanguageModel, model_name: str, max_new_tokens: int) -> None:
        from optim_hunter.observe.engine import Engine

        self.__name__ = f"llm-{model_name}"
        self._engine, self._most = Engine(model), max_new_tokens

    def __call__(
        self,
        x_train: Float[np.ndarray, "example feature"],
        y_train: Float[np.ndarray, "example"],
        x_test: Float[np.ndarray, "test feature"],
        y_test: Float[np.ndarray, "test"],
        random_state: int = 0,  # noqa: ARG002 - greedy answers draw nothing
        **options: Any,
    ) -> RegressionResult:
        """One prompt for each test case.

        Raises:
            UserError: any option, data of other shapes, or a prompt that is longer than the model's context.
        """
        if options:
            raise UserError(f"{self.__name__} has no option {sorted(options)[0]!r}: it has none")
        table, y_test = given_data(x_train, y_train, x_test, y_test)
        episodes = [Episode(0, table.x_train, table.y_train, case, np.nan) for case in table.x_test]
        answers = [self._answer(regression_prompt(episode).text) for episode in episodes]
        values, missing = self._numbers(answers)
        metadata = {
            "performance_metrics": performance(y_test, values),
            "answers": [text for text, _ in answers],
            "missing": missing,
            "warnings": {},
        }
        return RegressionResult(self.__name__, table.x_train, table.y_train, table.x_test, y_test, values, metadata)

    def _numbers(self, answers: Sequence[tuple[str, bool]]) -> tuple[Float[np.ndarray, "test"], list[str]]:
        """The answers as numbers, NaN where one is none, and why."""
        values, missing = [], []
        for text, ended in answers:
            try:
                values.append(self._number(text, ended))
            except NoValue as reason:
                values.append(np.nan)
                missing.append(str(reason))
        return np.array(values), missing

    def _number(self, text: str, ended: bool) -> float:
        if not ended and self._most > 1:
            raise NoValue(f"the answer did not end: {text!r}")
        return parse_number(text)

    def _answer(self, prompt: str) -> tuple[str, bool]:
        """The greedy answer to a prompt, and whether it ended."""
        from optim_hunter.observe.decoding import decode_greedily
        from optim_hunter.observe.instruments import Capture

        model, label = self._engine.model, [f"a prompt of {self.__name__}"]
        ids = model.encode(prompt).ids
        if len(ids) + self._most > model.context:
            raise UserError(
                f"the prompt takes {len(ids):,} tokens, but {model.name} reads at most {model.context:,} with its "
                "answer: take fewer examples"
            )
        stream = self._engine.start(1)
        seen = self._engine.read(stream, [ids], Capture(), label)
        decoding = decode_greedily(self._engine, stream, seen, [[]], label, self._most)[0]
        return model.decode(decoding.answer), decoding.ended
