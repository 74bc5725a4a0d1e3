"""What one pass showed of one regression prompt: plain arrays, ready for the measures."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from optim_hunter.claim import NoValue, UserError
from optim_hunter.tasks.answers import parse_number
from optim_hunter.tasks.regression import Episode


@dataclass(frozen=True)
class Attribution:
    """Direct logit attribution of every component to candidate tokens, at the token that predicts the pair.

    `contributions[c, k]` is what component c adds to the logit of candidate token k (logits): component 0 is
    the embedding, 1 + 2·l the attention of layer l, 2 + 2·l its MLP. `pair` are the two columns that are
    compared: the baseline's answer token and the model's. `prompt` are the columns of tokens in the prompt.
    """

    contributions: Float[np.ndarray, "component candidate"]
    pair: tuple[int, int]
    prompt: Int[np.ndarray, "prompt_candidate"]
    pair_text: tuple[str, str]


@dataclass(frozen=True)
class AttentionMass:
    """Attention from the token that predicts the answer, summed over the tokens of earlier values."""

    outputs: Float[np.ndarray, "layer head"]
    features: Float[np.ndarray, "layer head"]
    output_tokens: int
    feature_tokens: int


@dataclass(frozen=True)
class Answer:
    """The greedy answer; `pair` are the mean baseline's token and the model's own where they first differ."""

    text: str
    ended: bool
    pair: tuple[int, int] | None


@dataclass(frozen=True)
class Part:
    """What one need showed (an `Answer`, `Attribution` or `AttentionMass`; None: nothing), with its checks."""

    shown: Any
    checks: Mapping[str, float]


@dataclass(frozen=True)
class RegressionObservation:
    """What a pass showed of one seed; what was not asked for is None.

    `served` are the needs that the pass was asked to serve. `checks` maps an instrument check to the relative
    error seen (see `observe.checks`).
    """

    episode: Episode
    served: Set[str] = frozenset()
    answer: str | None = None
    answer_ended: bool = True
    attribution: Attribution | None = None
    attention_mass: AttentionMass | None = None
    checks: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, episode: Episode, parts: Mapping[str, Part]) -> RegressionObservation:
        """The observation whose needs showed these parts."""
        answer = parts["answer"].shown if "answer" in parts else None
        return cls(
            episode,
            frozenset(parts),
            answer.text if answer else None,
            answer.ended if answer else True,
            parts["attribution"].shown if "attribution" in parts else None,
            parts["attention"].shown if "attention" in parts else None,
            {name: error for part in parts.values() for name, error in part.checks.items()},
        )

    @property
    def prediction(self) -> float:
        """The answer as a number.

        Raises:
            NoValue: it is none.
            UserError: no answer was asked for.
        """
        self._require("answer")
        if not self.answer_ended:
            raise NoValue(f"the answer did not end: {self.answer!r}")
        return parse_number(self.answer or "")

    @property
    def average(self) -> float:
        """The mean of the outputs in the prompt: the mean baseline's answer."""
        return float(self.episode.outputs.mean())

    @property
    def pair_attribution(self) -> Attribution:
        """The attribution to the pair of answer tokens.

        Raises:
            NoValue: the model's answer is the mean baseline's, so that there is no pair to compare.
            UserError: no attribution was asked for.
        """
        self._require("attribution")
        if self.attribution is None:
            raise NoValue("the model answers as the mean baseline does: no pair of tokens to compare")
        return self.attribution

    @property
    def attention(self) -> AttentionMass:
        """Attention from the token that predicts the answer.

        Raises:
            UserError: no attention was asked for.
        """
        self._require("attention")
        assert self.attention_mass is not None
        return self.attention_mass

    def _require(self, need: str) -> None:
        if need not in self.served:
            raise UserError(
                f"this observation shows no {need}: add {need!r} to the claim's needs, for a model that has it"
            )
