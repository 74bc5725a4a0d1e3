"""Whether memory sufficed for what was run, so that less is run side by side where it did not."""

from __future__ import annotations

from collections.abc import Callable

import torch

OUT_OF_MEMORY = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""How torch says it on a CPU, and how a GPU's library does."""


def has_memory_for(run: Callable[[], None]) -> bool:
    """Run; False where memory does not suffice, once the error has let go of what the run held."""
    try:
        run()
    except (torch.OutOfMemoryError, MemoryError):
        return False
    except RuntimeError as error:
        if not any(sign in str(error) for sign in OUT_OF_MEMORY):
            raise
        return False
    return True
