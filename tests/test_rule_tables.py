"""What the terminal shows of a rule."""

import numpy as np
import pytest

from optim_hunter.claim import Verdict
from optim_hunter.models.one_layer import load_one_layer
from optim_hunter.stories.rule_gains import Judged
from optim_hunter.stories.rule_tables import rule_text
from optim_hunter.tasks.rule_files import packaged_groups, read_rule_book_of_group
from optim_hunter.tasks.stories import Windows


@pytest.mark.parametrize("group", packaged_groups())
def test_a_rule_is_printed_with_every_token_of_its_condition(group):
    """The sentence of the longest condition leaves most of its tokens out."""
    tokenizer = load_one_layer().tokenizer
    book = read_rule_book_of_group(group, tokenizer)
    rule = max(book.rules, key=lambda one: sum(len(atom.tokens) for atom in one.condition.atoms))
    first, second = rule.condition.atoms
    none = np.zeros(1, dtype=int)
    text = rule_text(
        rule, Judged(0, 0, 0, 1, 1, Verdict.INCONCLUSIVE), book,
        Windows(np.zeros((1, 16), dtype=int), none, none, none, tokenizer),
    )  # fmt: skip
    assert " more " in rule.sentence
    assert f"\n  one of {', '.join(map(repr, first.tokens))}, " in text
    assert f"\n  together with one of {', '.join(map(repr, second.tokens))}, " in text
