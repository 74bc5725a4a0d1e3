"""A rule book grows: rules are suggested on some stories, confirmed on others, accepted or refused, fitted together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import UserError
from optim_hunter.models.rule_fit import STRENGTHS, FittedShifts, fit_chosen
from optim_hunter.models.rule_search import Proposal, Said, propose
from optim_hunter.stats.conditions import mean_test
from optim_hunter.stats.families import holm
from optim_hunter.stories.rule_gains import ALPHA, rule_gains, story_values
from optim_hunter.stories.rule_material import Material, fired
from optim_hunter.tasks.rule_sentences import as_shifts, drafted_name, drafted_sentence
from optim_hunter.tasks.rules import Rule, RuleBook, Suggestion, conditions_met
from optim_hunter.tasks.stories import Windows

MOST_EXAMPLES = 3

STRENGTHS_OF_GROWTH = (1e-4, 5e-5, 2.5e-5)
"""Prices of a shift (nats) that are tried while a book grows."""


def suggest(
    book: RuleBook, material: Material, network: Float[np.ndarray, "window class"], most: int
) -> list[Suggestion]:
    """Rules that the book lacks, by their gain on the stories for choosing, which did not propose them.

    The search is paid for twice: what is reported is the gain on other stories than those that proposed, and `p` is
    adjusted over all that were proposed (Holm). That pays for this round alone: another round confirms on the same
    stories. Those that gained nothing there come last.

    Args:
        network: what the network says of the fitting windows, log-probabilities (nats).
        most: how many are proposed at most.
    """
    windows = material.fitting
    held = fired(book, windows).rules
    said = Said(
        held.astype(float) @ book.shifts + book.offsets, np.exp(network), np.eye(len(book.group))[windows.labels]
    )
    conditions = [rule.condition for rule in book.rules]
    proposals = propose(windows.tokens, said, book.vocabulary, conditions, [*conditions, *book.refused], most)
    return _confirmed(book, _drafts(book, proposals, material), material.choosing)


def _drafts(book: RuleBook, proposals: Sequence[Proposal], material: Material) -> list[Rule]:
    names = {rule.name for rule in book.rules}
    drafts: list[Rule] = []
    for proposal in proposals:
        shifts = as_shifts(book.group, proposal.shift - np.median(proposal.shift))
        name = drafted_name(proposal.condition, names)
        names.add(name)
        drafts.append(Rule(name, drafted_sentence(proposal.condition, shifts), proposal.condition, shifts))
    return with_examples(drafts, book, material.fitting)


def _confirmed(book: RuleBook, drafts: Sequence[Rule], windows: Windows) -> list[Suggestion]:
    """Each beside the book as it is, not beside the others."""
    if not drafts:
        return []
    beside = [replace(book, rules=(*book.rules, draft), suggested=()) for draft in drafts]
    values = np.hstack([story_values(rule_gains(one, windows)[:, [-1]], windows.story) for one in beside])
    results = {draft.name: mean_test(column, 0.0, ALPHA) for draft, column in zip(drafts, values.T, strict=True)}
    p = holm({name: result.p for name, result in results.items()}, len(results))
    found = [Suggestion(draft, results[draft.name].effect, p[draft.name]) for draft in drafts]
    return sorted(found, key=lambda one: -one.gain)


def with_examples(rules: Sequence[Rule], book: RuleBook, windows: Windows) -> list[Rule]:
    """The rules with the first windows, in the order of the stories, in which each fires and the word is one it raises
    most, of stories of their own."""
    met = conditions_met([rule.condition for rule in rules], book.place, windows.tokens).tocsc()
    made: list[Rule] = []
    for column, rule in enumerate(rules):
        held = np.sort(met[:, [column]].indices)
        if raised := [word for word, shift in rule.shifts.items() if shift == max(rule.shifts.values()) and shift > 0]:
            held = held[windows.labels[held] == book.group.index(raised[0])]
        _, firsts = np.unique(windows.story[held], return_index=True)
        shown = [example(book, windows, int(held[place])) for place in firsts[:MOST_EXAMPLES]]
        made.append(replace(rule, examples=tuple(shown)))
    return made


def example(book: RuleBook, windows: Windows, window: int) -> str:
    """A window as text, with the word that came."""
    return windows.tokenizer.decode(windows.tokens[window].tolist()) + book.group[windows.labels[window]]


def accept(book: RuleBook, names: Sequence[str], renamed: str | None = None) -> RuleBook:
    """The book with suggested rules as rules of its own, at the end; `renamed` is another name for a single one.

    Raises:
        UserError: no such suggestion, or a name that is taken.
    """
    chosen = _suggested(book, names)
    if renamed is not None:
        if len(chosen) != 1:
            raise UserError(f"one name for {len(chosen)} rules: accept them one by one to rename them")
        chosen = [replace(chosen[0], name=renamed)]
    left = tuple(one for one in book.suggested if one.rule.name not in names)
    return replace(book, rules=(*book.rules, *chosen), suggested=left)


def refuse(book: RuleBook, names: Sequence[str]) -> RuleBook:
    """The book without these suggestions; their conditions are not suggested again.

    Raises:
        UserError: no such suggestion.
    """
    refused = tuple(rule.condition for rule in _suggested(book, names))
    left = tuple(one for one in book.suggested if one.rule.name not in names)
    return replace(book, suggested=left, refused=(*book.refused, *refused))


def _suggested(book: RuleBook, names: Sequence[str]) -> list[Rule]:
    by_name = {suggestion.rule.name: suggestion.rule for suggestion in book.suggested}
    if unknown := [name for name in names if name not in by_name]:
        known = ", ".join(by_name) if by_name else "none; optim-hunter rules suggest makes some"
        raise UserError(f"no suggestion {unknown[0]!r}: there are {known}")
    return [by_name[name] for name in dict.fromkeys(names)]


def fit(book: RuleBook, material: Material, strengths: Sequence[float] = STRENGTHS) -> tuple[RuleBook, FittedShifts]:
    """The book with all shifts fitted together to the stories for fitting; of these prices that which does best on the
    stories for choosing. Sentences that nobody changed are drafted anew.

    Raises:
        UserError: a book without rules.
        InvalidInstrument: a fit that misses its gap.
    """
    if not book.rules:
        raise UserError("the book has no rules to fit: optim-hunter rules suggest finds some")
    parts = fired(book, material.fitting), fired(book, material.choosing)
    fitted = fit_chosen(*parts, len(book.group), strengths, book.shifts)
    return with_shifts(book, fitted), fitted


def with_shifts(book: RuleBook, fitted: FittedShifts) -> RuleBook:
    """The book with other shifts and intercepts."""
    rules = [_moved(rule, as_shifts(book.group, row)) for rule, row in zip(book.rules, fitted.shifts, strict=True)]
    intercepts = dict(zip(book.group, np.round(fitted.offsets, 4).tolist(), strict=True))
    return replace(book, rules=tuple(rules), intercepts=intercepts)


def grow(
    book: RuleBook, material: Material, network: Float[np.ndarray, "window class"], rules: int, step: int
) -> Iterator[RuleBook]:
    """The book as it grows to so many rules: what is suggested and gains on the stories for choosing is accepted, all
    else refused, and all shifts are fitted, again and again. It ends where nothing more is suggested.

    `network` is as for `suggest`, `step` how many are suggested at once at most.
    """
    while len(book.rules) < rules and (found := suggest(book, material, network, step)):
        gaining = [one.rule.name for one in found if one.gain > 0]
        book = replace(book, suggested=tuple(found))
        book = refuse(book, [one.rule.name for one in found if one.gain <= 0])
        book = replace(accept(book, gaining[: rules - len(book.rules)]), suggested=())
        if gaining:
            book = _without_idle_rules(fit(book, material, STRENGTHS_OF_GROWTH)[0])
        yield book


def _without_idle_rules(book: RuleBook) -> RuleBook:
    """Rules that no word is moved by are refused after all."""
    idle = tuple(rule.condition for rule in book.rules if not rule.shifts)
    rules = tuple(rule for rule in book.rules if rule.shifts)
    return replace(book, rules=rules, refused=(*book.refused, *idle))


def _moved(rule: Rule, shifts: dict[str, float]) -> Rule:
    drafted = rule.sentence == drafted_sentence(rule.condition, rule.shifts)
    sentence = drafted_sentence(rule.condition, shifts) if drafted else rule.sentence
    return replace(rule, shifts=shifts, sentence=sentence)
