"""What one pass showed of one regression prompt: plain arrays, ready for the measures."""

from __future__ import annotations

import math
from collections.abc import Mapping
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
    """Attention from the token that predicts the answer, summed over the tokens of earlier values.

    `features` are those of all cases; `query_features`, a part of them, those of the test case, which stand right
    before the answer, so that a head that looks at what is near looks at them.
    """

    outputs: Float[np.ndarray, "layer head"]
    features: Float[np.ndarray, "layer head"]
    query_features: Float[np.ndarray, "layer head"]
    output_tokens: int
    feature_tokens: int
    query_feature_tokens: int


PREDICTORS = (
    "gold", "linear_regression", "knn_regression", "random_forest", "average", "last", "random", "llm",
)  # fmt: skip
"""Whose answers `Candidates` compares: the truth, three regressors, three baselines and the model itself."""


@dataclass(frozen=True)
class Candidates:
    """Logits of the tokens that answers begin with, and their direct attribution, at the prompt's last token.

    Candidates are the distinct first tokens of the answers of `PREDICTORS` and of the outputs in the prompt. An answer
    is written as prompts write numbers and is read as it stands after the prompt; `llm` is the model's likeliest
    token, number or not. Predictors that begin alike share a column: their difference is exactly 0.

    Attributes:
        contributions: what each component adds to the logit of each candidate (logits); component 0 is the embedding,
            1 + 2·l the attention of layer l, 2 + 2·l its MLP.
        constant: what the biases of final norm and unembedding add: contributions summed over the components, plus
            this, are `logits` to rounding. Running sums over the components are the published accumulated logits.
        logits: as observed (the unembedding's output, before any soft cap).
        tokens: the candidates, ascending.
        columns: predictor → its candidate. Where a task takes seed 0's pair for every seed, the predictors' tokens
            are seed 0's, as published; everything else is this prompt's own.
        output_counts: how many outputs in the prompt begin with the candidate.
        texts: the candidates as text.
    """

    contributions: Float[np.ndarray, "component candidate"]
    constant: Float[np.ndarray, "candidate"]
    logits: Float[np.ndarray, "candidate"]
    tokens: Int[np.ndarray, "candidate"]
    columns: Mapping[str, int]
    output_counts: Int[np.ndarray, "candidate"]
    texts: tuple[str, ...]

    @property
    def predictor_tokens(self) -> dict[str, int]:
        """Predictor → the token that its answer begins with."""
        return {predictor: int(self.tokens[column]) for predictor, column in self.columns.items()}


@dataclass(frozen=True)
class InductionMass:
    """Whether each head looks where an induction head does, on the labels of the test case.

    Read are the tokens of the test case's labels ("Feature 0: " …) that stand at the same place in every example and
    are followed by another such token. What follows is thus known from the examples, and no token of a number is
    looked at, so that this says nothing about a head's mass on values. All masses are fractions of a row, means over
    the tokens read, with each prompt's own places: examples may differ in length.

    Attributes:
        stripe: mass on the tokens that follow the same place in the examples (an induction head's).
        same_place: mass on the same place in the examples (a duplicate-token head's).
        published: mass on the one token that lies the number of examples, less one, before the token read: the
            published stripe, which takes the number of examples for the distance in tokens.
        uniform: what a head that looks at all earlier tokens alike puts on the stripe; the same on the same places.
        uniform_published: the same on the published stripe.
        tokens: how many tokens are read.
    """

    stripe: Float[np.ndarray, "layer head"]
    same_place: Float[np.ndarray, "layer head"]
    published: Float[np.ndarray, "layer head"]
    uniform: float
    uniform_published: float
    tokens: int


ACTIVATION_LAYERS = 10
"""How many of the last layers `Activations` shows (all, where a model has fewer), as in the published figure."""


@dataclass(frozen=True)
class Activations:
    """Mean activations of MLP neurons (the input of the down projection) on the tokens of the prompt's values.

    Kept for two halves of the examples, those of even number (0, 2, …: half 0) and those of odd number (half 1), so
    that a difference between kinds of values can be held against one within a kind. The test case's features are
    left out. `outputs` and `features` are the means over the tokens of both halves.

    Attributes:
        layers: the layers shown, ascending.
        output_halves: means over the tokens of the outputs of each half.
        feature_halves: the same for each feature, in the order of the data (not of a prompt that shuffles them).
        output_tokens: tokens in each mean.
        feature_tokens: the same for each feature.
    """

    layers: Int[np.ndarray, "layer"]
    output_halves: Float[np.ndarray, "half layer neuron"]
    feature_halves: Float[np.ndarray, "half feature layer neuron"]
    output_tokens: Int[np.ndarray, "half"]
    feature_tokens: Int[np.ndarray, "half feature"]

    @property
    def outputs(self) -> Float[np.ndarray, "layer neuron"]:
        """Means over the tokens of all outputs of the examples."""
        means: Float[np.ndarray, "layer neuron"] = np.average(self.output_halves, 0, self.output_tokens)
        return means

    @property
    def features(self) -> Float[np.ndarray, "feature layer neuron"]:
        """Means over the tokens of each feature of the examples."""
        shares = self.feature_tokens / self.feature_tokens.sum(0)
        means: Float[np.ndarray, "feature layer neuron"] = np.einsum("hf,hfln->fln", shares, self.feature_halves)
        return means


LATE_FRACTION = 5 / 32
"""The paper's late MLPs are the last 5 of 32 layers."""


def late_width(layers: int) -> int:
    """How many of the last blocks count as late in a model of this depth: the paper's fraction, rounded, at least 1."""
    return max(1, math.floor(LATE_FRACTION * layers + 0.5))


REPLACEMENTS = ("zero", "mean", "resample")
"""What stands in the place of what a component writes: nothing, the mean over other seeds, another seed's."""


@dataclass(frozen=True)
class BlockAblation:
    """What ablating blocks takes from the pair's logit difference, at the token that predicts the pair (logits).

    Attributes:
        difference: logit of the model's own token − logit of the baseline's, as it is.
        drops: that minus the difference with the blocks of `width` consecutive layers replaced, from each layer on; by
            `REPLACEMENTS`, and of attention (0) and MLPs (1). `resample` is the mean over several other seeds.
        width: as many as count as late.
    """

    difference: float
    drops: Float[np.ndarray, "replacement kind run"]
    width: int


@dataclass(frozen=True)
class HeadAblation:
    """The same of every single head."""

    difference: float
    drops: Float[np.ndarray, "replacement layer head"]


@dataclass(frozen=True)
class Patching:
    """How a pair's logit difference changes with the last example of a prompt, and what blocks carry of that (logits).

    At the token that predicts the pair the blocks of `width` consecutive layers write what they write in the other
    prompt. Effects are given from each layer on, of attention (0) and MLPs (1).

    Attributes:
        difference: logit of the model's own token − logit of the baseline's, in the prompt.
        changed: the same two, where the last example is another.
        noising: what the prompt's difference loses with the blocks of the changed prompt.
        denoising: what the changed prompt's difference gains with the blocks of the prompt.
        direct: what the blocks add directly in the prompt, less what they add in the changed one.
        width: as many as count as late.
    """

    difference: float
    changed: float
    noising: Float[np.ndarray, "kind run"]
    denoising: Float[np.ndarray, "kind run"]
    direct: Float[np.ndarray, "kind run"]
    width: int


@dataclass(frozen=True)
class Answer:
    """The greedy answer; `pair` are the mean baseline's token and the model's own where they first differ."""

    text: str
    ended: bool = True
    pair: tuple[int, int] | None = None


@dataclass(frozen=True)
class Part:
    """What one need showed (an `Answer`, `Attribution`, `AttentionMass` …; None: nothing), with its checks."""

    shown: Any
    checks: Mapping[str, float]

    def __post_init__(self) -> None:
        """All claims about a prompt are shown the same arrays, so that none may change them."""
        for value in vars(self.shown).values() if self.shown is not None else ():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)


NOTHING_TO_SHOW: Mapping[str, str] = {
    "attribution": "the model answers as the mean baseline does: no pair of tokens to compare",
    "candidates": "a regressor cannot be fitted to so few examples (5 nearest neighbours need 5): ask for more",
    "induction": "no label of the test case is two tokens that stand alike in every example",
    "activations": "one example cannot be split into two halves: ask for two examples or more",
    **dict.fromkeys(
        ("block_ablation", "head_ablation"),
        "the model answers as the mean baseline does, or parts from it later than other seeds' answers are long",
    ),
    "patching": "the model answers as the mean baseline does: no pair of tokens to compare",
}
"""Need → why a prompt may have nothing to show for it."""


@dataclass(frozen=True)
class RegressionObservation:
    """What was shown of one seed.

    Attributes:
        shown: need → what it showed (None: there was nothing to show), for the needs that were asked for. The property
            of a need's name looks it up (`pair_attribution` that of `attribution`); it raises NoValue where there is
            nothing, with the reason, and UserError where it was not asked for.
        checks: instrument check → the worst relative error seen (see `observe.checks`).
    """

    episode: Episode
    shown: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, episode: Episode, parts: Mapping[str, Part]) -> RegressionObservation:
        """The observation whose needs showed these parts."""
        checks: dict[str, float] = {}
        for name, error in (one for part in parts.values() for one in part.checks.items()):
            checks[name] = max(error, checks.get(name, error))
        return cls(episode, {need: part.shown for need, part in parts.items()}, checks)

    @property
    def answer(self) -> Answer:
        """The greedy answer."""
        return self._look_up("answer")

    @property
    def prediction(self) -> float:
        """The answer as a number; raises NoValue where it is none, or did not end."""
        return _number(self.answer)

    @property
    def permuted_prediction(self) -> float:
        """The answer to the same prompt with its outputs permuted among the examples, as `prediction`."""
        return _number(self._look_up("permuted"))

    @property
    def average(self) -> float:
        """The mean of the outputs in the prompt: the mean baseline's answer."""
        return float(self.episode.outputs.mean())

    @property
    def pair_attribution(self) -> Attribution:
        """The attribution to the pair of answer tokens."""
        return self._look_up("attribution")

    @property
    def attention(self) -> AttentionMass:
        """Attention from the token that predicts the answer."""
        return self._look_up("attention")

    @property
    def candidates(self) -> Candidates:
        """The first tokens of several predictors' answers."""
        return self._look_up("candidates")

    @property
    def induction(self) -> InductionMass:
        """How each head looks from the test case's labels to those of the examples."""
        return self._look_up("induction")

    @property
    def activations(self) -> Activations:
        """Mean activations of MLP neurons on outputs and features."""
        return self._look_up("activations")

    @property
    def block_ablation(self) -> BlockAblation:
        """What ablating runs of blocks takes from the pair's logit difference."""
        return self._look_up("block_ablation")

    @property
    def head_ablation(self) -> HeadAblation:
        """What ablating each head takes from it."""
        return self._look_up("head_ablation")

    @property
    def patching(self) -> Patching:
        """What blocks carry of the change that another last example makes."""
        return self._look_up("patching")

    @property
    def regressors(self) -> Mapping[str, float]:
        """What each of PUBLISHED_REGRESSORS predicts for the test case from the same examples, by name.

        Looking at one that gives no finite prediction raises NoValue.
        """
        return self._look_up("regressors")

    def _look_up(self, need: str) -> Any:
        if need not in self.shown:
            raise UserError(
                f"this observation shows no {need}: add {need!r} to the claim's needs, for a model that has it"
            )
        if self.shown[need] is None:
            raise NoValue(NOTHING_TO_SHOW[need])
        return self.shown[need]


def _number(answer: Answer) -> float:
    if not answer.ended:
        raise NoValue(f"the answer did not end: {answer.text!r}")
    return parse_number(answer.text)
