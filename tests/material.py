"""What a few tests read that is not in this repository: where it lies, and the mark that skips where it is not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[2] / "shared"
"""A folder next to the checkout."""


@dataclass(frozen=True)
class Material:
    """A file or folder that an environment variable names; without it, what lies at `place` of the folder beside."""

    variable: str
    place: str
    what: str

    @cached_property
    def path(self) -> Path:
        """Where it lies, if it is there."""
        return Path(os.environ.get(self.variable) or BESIDE / self.place)

    @property
    def needed(self) -> pytest.MarkDecorator:
        """Skips a test where it is not."""
        reason = f"no {self.path}: set {self.variable} to {self.what}"
        return pytest.mark.skipif(not self.path.exists(), reason=reason)


TINYSTORIES = Material("OPTIM_HUNTER_TINYSTORIES", "data/tinystories.txt.gz", "a text file of stories, for .ci/run")
STORIES15M = Material("OPTIM_HUNTER_STORIES15M", "models/stories15m", "the folder of that model, from Hugging Face")
SEED_DOCUMENTS = Material("OPTIM_HUNTER_SEED_DOCUMENTS", "seeds", "the folder of the documents that the notes follow")
PUBLISHED = Material("OPTIM_HUNTER_PUBLISHED", "published", "the folder of the published numbers that are not packaged")
ALL = (TINYSTORIES, STORIES15M, SEED_DOCUMENTS, PUBLISHED)
