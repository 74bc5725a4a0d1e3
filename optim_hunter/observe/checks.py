"""Instrument checks: how far the parts may be from the whole before a number is no longer believed."""

from __future__ import annotations

from optim_hunter.claim import InvalidInstrument

TOLERANCES = {
    "float32": {"residual stream": 1e-4, "attributed difference": 1e-3, "attention rows": 1e-3},
    "bfloat16": {"residual stream": 3e-2, "attributed difference": 3e-2, "attention rows": 3e-2},
    "float64": {"duality gap": 1e-3},
    "float16": {"residual stream": 1e-2, "attributed difference": 1e-2, "attention rows": 1e-2},
}
"""Largest relative error allowed, by the dtype of the weights; those below float32 are not yet measured on Llama.

- residual stream: ‖embed + Σ writes − final residual‖ / ‖final residual‖.
- attributed difference: |Σ attribution − observed logit difference| / Σ |attribution to the difference|.
- duality gap: of a linear model's fit, relative to its objective.
- attention rows: ‖row · values − attention output‖ / ‖attention output‖, worst layer.
"""


def require(checks: dict[str, float], dtype: str, where: str) -> None:
    """Stop when a check fails.

    Raises:
        InvalidInstrument: names the check, the error and the tolerance; a NaN fails too.
    """
    for name, error in checks.items():
        tolerance = TOLERANCES[dtype][name]
        if not error <= tolerance:
            raise InvalidInstrument(f"{where}: check '{name}' failed, relative error {error:.2g} above {tolerance:.0e}")
