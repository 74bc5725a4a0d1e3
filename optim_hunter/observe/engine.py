"""A language model at work: runs streams, reads them, and counts what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from optim_hunter.claim import InvalidInstrument, UserError
from optim_hunter.models.language import LanguageModel
from optim_hunter.observe.agreement import PROBE_LENGTHS, disagreement
from optim_hunter.observe.attribution import closure_error
from optim_hunter.observe.checks import require
from optim_hunter.observe.instruments import Capture, Reading, advance, read
from optim_hunter.observe.layouts import KNOWN_FAMILIES, DecoderParts, decoder_parts
from optim_hunter.observe.streams import Stream
from optim_hunter.observe.sums import GroupSums

TOKENS_AT_ONCE = {"cpu": 12_288, "cuda": 65_536}
"""By kind of device."""


class Engine:
    """Runs one language model; `forward_passes` and `tokens_run` (padding left out) grow as it does.

    `halvings` is for those who run rows side by side to count how often memory did not suffice.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.forward_passes = 0
        self.tokens_run = 0
        self.halvings = 0

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return torch.device(self.model.device)

    @property
    def parts(self) -> DecoderParts:
        """The model's layout; opens its weights, and goes with them, whoever closes the model.

        Raises:
            UserError: the model cannot be opened, or is of an unknown architecture.
        """
        beside: dict[str, DecoderParts] = self.model.beside_weights
        if "parts" not in beside:
            beside["parts"] = decoder_parts(self.model.module)
        return beside["parts"]

    @cached_property
    def disagreement(self) -> float:
        """How far the pass is from the model's own code on two short prompts; see `observe.agreement`."""
        for length in PROBE_LENGTHS * 2:
            self._count([[0] * length])
        return disagreement(self.model.module, self.parts)

    def open(self) -> None:
        """Open the weights, and look at the pass on two short prompts before anything long is run.

        Raises:
            UserError: the model cannot be opened, or is of an unknown architecture.
            InvalidInstrument: its parts do not sum to the whole, or the pass leaves out what its own code does.
        """
        try:
            checks = {"residual stream": self.closure, "model's own logits": self.disagreement}
            require(checks, self.model.dtype)
        except torch.OutOfMemoryError:
            raise UserError(
                f"{self.model.name}: memory of {self.device} does not suffice for its weights",
                "try --claims-dtype bfloat16, or another device",
            ) from None
        except InvalidInstrument as error:
            kind = type(self.model.module).__name__
            unknown = f"{kind} does what the pass does not know: {KNOWN_FAMILIES}"
            raise InvalidInstrument(f"{self.model.name}: {error}; {unknown}") from None

    @cached_property
    def closure(self) -> float:
        """How far embedding + Σ writes are from the final residual, on a short prompt."""
        seen = self.read(self.start(1), [list(range(PROBE_LENGTHS[0]))], Capture(), ["a short prompt"]).last_token(0)
        return closure_error(seen.writes, seen.residual)

    def close(self) -> None:
        """Free the weights; counts stay, and what is run next opens them again."""
        self.model.close()
        self.free_memory()

    def free_memory(self) -> None:
        """Give unused memory of a GPU back, so that a smaller batch finds it in one piece."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @property
    def tokens_at_once(self) -> int:
        """Tokens of rows that are run side by side."""
        return TOKENS_AT_ONCE[self.device.type]

    def start(self, rows: int) -> Stream:
        """Empty rows on the model's device."""
        return Stream.start(rows, self.device)

    def advance(
        self, stream: Stream, segments: Sequence[Sequence[int]], asked: GroupSums | None = None
    ) -> Float[Tensor, "row module group neuron"] | None:
        """Run the next segment of every row, and read nothing but sums; None where none are asked."""
        self._count(segments)
        return advance(self.model.module, self.parts, stream, segments, asked)

    def read(
        self, stream: Stream, segments: Sequence[Sequence[int]], capture: Capture, labels: Sequence[str]
    ) -> Reading:
        """Run the next segment of every row and read it; `labels` name the rows in messages.

        Raises:
            InvalidInstrument: the model gives logits that are not finite.
        """
        self._count(segments)
        seen = read(self.model.module, self.parts, stream, segments, capture)
        finite = seen.logits.isfinite().all(1).tolist()
        broken = [label for label, good, segment in zip(labels, finite, segments, strict=True) if segment and not good]
        if broken:
            raise InvalidInstrument(
                f"{self.model.name} gives logits that are not finite on {broken[0]}: check its weights, or try float32"
            )
        return seen

    def _count(self, segments: Sequence[Sequence[int]]) -> None:
        self.forward_passes += any(segments)
        self.tokens_run += sum(map(len, segments))
