"""Instrument checks: how far the parts may be from the whole before a number is no longer believed."""

from __future__ import annotations

from collections.abc import Mapping

from optim_hunter.claim import InvalidInstrument

NAMES = (
    "residual stream", "attributed difference", "attention rows", "row sums", "model's own logits", "words' logits",
    "duality gap", "token run again",
)  # fmt: skip
TOLERANCES = {
    "float32": dict(zip(NAMES, (1e-4, 1e-3, 1e-3, 1e-5, 1e-3, 1e-4, 1e-3, 1e-3), strict=True)),
    "float16": dict(zip(NAMES, (1e-2, 1e-2, 1e-2, 1e-5, 1e-2, 1e-2, 1e-3, 1e-2), strict=True)),
    "bfloat16": dict(zip(NAMES, (3e-2, 3e-2, 3e-2, 1e-5, 3e-2, 3e-2, 1e-3, 3e-2), strict=True)),
    "float64": {"duality gap": 1e-3},
}
"""Largest relative error allowed, by the dtype of the weights; those below float32 are not yet measured on Llama.

- residual stream: ‖embed + Σ writes − final residual‖ / ‖final residual‖.
- attributed difference: |Σ attribution − observed logit difference| / Σ |attribution to the difference|; of more than
  two candidates both in root mean square over their pairs.
- attention rows: ‖row · values − attention output‖ / ‖attention output‖, worst layer.
- row sums: |Σ row − 1|, worst head.
- model's own logits: ‖logits of the pass − logits of the model's own code‖ / ‖the latter‖ on two short prompts.
- words' logits: ‖logits of a few words − the unembedding's own‖ / ‖the latter‖ at the last token of a row.
- token run again: ‖logits of the predicting token, run again before it is ablated − those seen‖ / ‖the latter‖.
- duality gap: of a linear model's fit, relative to its objective; always in float64, whatever model it stands beside.
"""


def require(checks: Mapping[str, float], dtype: str) -> None:
    """Stop when a check fails.

    Raises:
        InvalidInstrument: names the check, the error and the tolerance; a NaN fails too.
    """
    for name, error in checks.items():
        tolerance = TOLERANCES[dtype][name]
        if not error <= tolerance:
            raise InvalidInstrument(f'check "{name}" failed, relative error {error:.2g} above {tolerance:.0e}')
