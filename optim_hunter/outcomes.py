"""How the items of claims end that neither pass nor break."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from _pytest.outcomes import Failed, Skipped

from optim_hunter.claim import InvalidInstrument, NoValue, UserError
from optim_hunter.journal import JournalLost


class Refuted(Failed):
    """The claim does not hold on this model: a finding."""


class Invalid(Failed):
    """An instrument or a control failed: there is no verdict to speak of."""


class Missing(Skipped):
    """A seed without a number."""


@contextmanager
def stopping() -> Iterator[None]:
    """End the run in one line where what it finds cannot be kept."""
    try:
        yield
    except JournalLost as error:
        pytest.exit(str(error))


@contextmanager
def seed_outcome() -> Iterator[None]:
    """How a seed ends that gives no number: skipped with the reason, since its claim's verdict tells of it.

    A mistake in the test itself fails, with the traceback of the test's own code.
    """
    try:
        with stopping():
            yield
    except (InvalidInstrument, NoValue) as reason:
        raise Missing(str(reason)) from None
    except UserError as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None
        raise Invalid(str(error), pytrace=False) from None
