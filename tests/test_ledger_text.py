"""The text of a ledger under way: what JSON makes of it whole, however it grew."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optim_hunter.evidence.ledger_text import LedgerText

PARTNERS = st.lists(st.fixed_dictionaries({"verdict": st.text()}), max_size=2)


@given(steps=st.lists(st.tuples(st.text(), PARTNERS, st.integers(0, 5)), min_size=1, max_size=8))
def test_a_ledger_that_grows_is_written_as_json_writes_it_whole(steps):
    content, text = {"run": {"seconds": 0.0}, "claims": [], "prompts": {}}, LedgerText()
    for name, partners, place in steps:
        content["run"]["seconds"] += 1
        content["claims"].append({"claim": name, "numbers": [1, 2.5, None], "partners": []})
        content["claims"][place % len(content["claims"])]["partners"] = partners
        content["prompts"][name] = f"{name}\n"
        assert text.of(content) == json.dumps(content)
    content["claims"][0] = {"claim": "in its place, and without partners"}
    assert text.of(content) == json.dumps(content)


def test_what_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        LedgerText().of({"claims": [{"p": math.nan, "partners": []}]})
