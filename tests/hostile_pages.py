"""One page of each kind whose every slot holds hostile strings: what stands there once holds all of them in a row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hostile import HOSTILE
from sample_ledger import sample_ledger, with_strings
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from optim_hunter.evidence import compare_command, experiment_figures, figures, fragment, report
from optim_hunter.evidence.comparison import compare
from optim_hunter.evidence.fragment import Section, Table, Titled
from optim_hunter.evidence.profile_figures import DRAWN
from optim_hunter.experiments.predicting import SeedPredictions
from optim_hunter.experiments.regressors_comparison import Comparison, sections
from optim_hunter.generality import pages
from optim_hunter.generality.command import table_of_ledgers
from optim_hunter.notes.document import parse
from optim_hunter.notes.page import About
from optim_hunter.notes.page import page_html as notes_html
from optim_hunter.notes.results import Output, Result
from optim_hunter.stats.intervals import Estimate
from optim_hunter.stories.demo import ShownGroup
from optim_hunter.stories.demo_page import demo_html
from optim_hunter.stories.demo_rules import PageRules
from optim_hunter.stories.fit_page import fit_html
from optim_hunter.stories.fitted_folder import FittedFolder
from optim_hunter.stories.held_out_scores import Mean
from optim_hunter.stories.ladder_table import Row, ladder_page
from optim_hunter.stories.rule_score import Score, Share, score_page
from optim_hunter.tasks.corpus import Corpus
from optim_hunter.tasks.stories import Windows
from optim_hunter.tasks.word_groups import WordGroup

ALL = " ".join(HOSTILE.values())
TEXTS = list(HOSTILE.values())
COUNT = len(TEXTS)
FIRST_TOKEN = 256
"""Token of the first hostile string; before it stand the bytes."""


def hostile_tokenizer() -> Tokenizer:
    """A byte-level tokenizer, without merges, in which every hostile string is one token."""
    letters = sorted(ByteLevel.alphabet())
    names = ["".join(piece for piece, _ in ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text))
             for text in TEXTS]  # fmt: skip
    tokenizer = Tokenizer(BPE({name: place for place, name in enumerate([*letters, *names])}, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    return tokenizer


def hostile_weights(classes: int) -> np.ndarray:
    """Of each hostile token at the last position, largest for a class of its own."""
    weights = np.zeros((16, FIRST_TOKEN + COUNT, classes))
    weights[15, FIRST_TOKEN:] = 0.1
    weights[15, FIRST_TOKEN + np.arange(COUNT), np.arange(COUNT) % classes] = 1.0
    return weights


def fit_page(_folder: Path) -> str:
    """A fit that chooses among words each of which is a hostile string, the token that decides it as well."""
    summary = with_strings(_summary(), lambda slot: slot + ALL)
    summary |= {"classes": TEXTS, "versions": {text: text for text in TEXTS}}
    summary["language_model"]["views"] = dict.fromkeys(("window", "story"), summary["commonest"])
    fitted = FittedFolder(hostile_weights(COUNT), np.zeros(COUNT), hostile_tokenizer(), summary)
    return fit_html(fitted, np.ones((16, FIRST_TOKEN + COUNT), int))


def _summary() -> dict[str, Any]:
    scored = {"held_out_nll": 1.0, "held_out_nll_interval": [0.9, 1.1], "held_out_accuracy": 0.5,
              "held_out_accuracy_interval": [0.4, 0.6]}  # fmt: skip
    part = {"stories": 3, "stories_with_windows": 2, "windows": dict.fromkeys(TEXTS, 1)}
    point = {"l1": 0.1, "fitting_loss": 1.0, "choosing_loss": 1.0, "held_out_loss": 1.0, "l1_term": 0.1, "nonzero": 5,
             "gap": 1e-5, "seconds": 1.0}  # fmt: skip
    return {
        "group": "g", "context": 16, "vocabulary": 256, "windows": 9, "intervals": "i", "tokenizer_sha256": "t",
        "nonzero": 5, "l1": 0.1, "gap": 1e-5, "seconds": 2.0, **scored,
        "commonest": {"word": "w", **scored}, "language_model": {"name": "n"},
        "corpus": {"name": "c", "sha256": "s", "note": ""},
        "split": {"how": "h", "stories": 9, "parts": dict.fromkeys(("fitting", "choosing", "held_out"), part)},
        "path": [point, {**point, "l1": 0.01}],
    }  # fmt: skip


def demo_page(_folder: Path) -> str:
    """Two groups of hostile words with rule books; every hostile token has weights, a rule, and an example."""
    tokenizer = hostile_tokenizer()
    tokens = FIRST_TOKEN + (np.arange(COUNT)[:, None] + np.arange(16)) % COUNT
    places = np.arange(COUNT)
    windows = Windows(tokens, places % 5, places, places, tokenizer)
    counts = np.ones((16, FIRST_TOKEN + COUNT, 5), np.uint32)
    both = {"linear": 1.0, "prior": 1.0}
    said = {"l1": 0.1, "gap": 1e-5, "nonzero": 5, "weights": 9, "fitted_windows": 5, "held_out_windows": COUNT,
            "fitted_words": [1] * 5, "loss": both, "right": both, "held_out_stories": COUNT}  # fmt: skip
    groups = [
        ShownGroup(WordGroup(name, words), hostile_weights(5), np.zeros(5), counts, windows, said)
        for name, words in (("conjunctions", tuple(TEXTS[:5])), (ALL, tuple(TEXTS[-5:])))
    ]
    books = {one.group.name: hostile_book() for one in groups}
    return demo_html(groups, Corpus(ALL, (), ALL, ALL), tokenizer, rules=PageRules(books))


def hostile_book() -> dict[str, Any]:
    """A rule for each hostile string: its name, its sentence, the token that it is about and where that is looked for.

    The second part of its condition is about all of these tokens.
    """
    judged = {"gain": 0.1, "low": 0.0, "high": 0.2, "fires": 0.5, "shifts": [1.0, -1.0, 0.0, 0.0, 0.0]}
    span = {"near": 1, "far": 16}
    every = {"tokens": [FIRST_TOKEN + place for place in range(COUNT)], "where": "anywhere", **span}
    rules = [
        {"name": text, "sentence": text, "atoms": [{"tokens": [FIRST_TOKEN + place], "where": text, **span}, every]}
        | judged
        for place, text in enumerate(TEXTS)
    ]
    return {"intercepts": [0.0] * 5, "loss": 1.0, "rules": rules}


def experiment_page(_folder: Path) -> str:
    """Methods named by hostile strings, one of which answered with all the others; then a section for each string."""
    seeds = range(4 + COUNT)
    numbers = np.arange(4.0 + COUNT)
    answered = SeedPredictions(np.where(numbers < 4, numbers, np.nan), dict(zip(seeds[4:], TEXTS, strict=True)))
    methods = {ALL: answered, **{text: SeedPredictions(numbers, {}) for text in TEXTS}}
    compared = sections(Comparison(seeds, np.zeros(4 + COUNT), methods), 25, 1.0)
    own = [Section(text, text, tables=[Table(text, [text] * 2, [[text] * 2] * 13)]) for text in TEXTS]
    return fragment.shown(ALL, [*compared, *own], warnings=TEXTS)


LABELS = 16
"""Strings along the axis of a figure."""


def figures_page(_folder: Path) -> str:
    """Every string on the axis of a figure whose title holds it too; then the other figures."""
    groups = [TEXTS[start : start + LABELS] for start in range(0, COUNT, LABELS)]
    labelled = [figures.component_bars(group, np.ones(len(group)), " ".join(group)) for group in groups]
    sections_of = [Section("", "", [Titled(" ".join(group), one)]) for group, one in zip(groups, labelled, strict=True)]
    others = [Titled(text, one) for text, one in zip(TEXTS, _other_figures(TEXTS[-9:]), strict=False)]
    return fragment.shown("Figures", [*sections_of, Section("Others", "", others)])


def _other_figures(names: list[str]) -> list[figures.Figure]:
    """With names, series, choices and units that are hostile."""
    numbers, counts = np.arange(1.0, len(names) + 1), np.full(len(names), 3)
    one = Estimate(numbers, numbers, numbers, counts)
    several = {name: dict.fromkeys(names[:4], one) for name in names}
    edges = np.arange(4.0)
    return [
        experiment_figures.method_bars(names, dict.fromkeys(names[:4], one), ALL),
        experiment_figures.by_choice(names, several, ALL, "lines"),
        experiment_figures.predicted_and_true({name: (numbers, numbers, range(9)) for name in names}, ALL),
        experiment_figures.histograms({name: dict.fromkeys(names[:4], (edges[1:] / 6, edges)) for name in names}, ALL),
        experiment_figures.grid_map(names, names, np.ones((9, 9))),
        *(draw(names, one, ALL, numbers.tolist(), None) for draw in DRAWN.values()),
    ]


def ladder_of_strings(_folder: Path) -> str:
    """A rung for each hostile string, then questions named by them, in the ladder of a corpus of that name."""
    nats = Mean(1.0, 0.5, 2.0)
    questions = [" ".join(TEXTS[start : start + LABELS]) for start in range(0, COUNT, LABELS)]
    rungs = [Row(text, questions[0], COUNT, 3, nats) for text in TEXTS]
    return ladder_page(ALL, rungs + [Row(TEXTS[0], question, COUNT, 3, nats) for question in questions[1:]])


def scores_of_strings(_folder: Path) -> str:
    """The score of a rule book for each hostile string, which names its group."""
    shares = tuple(Share(rules, 4 * rules, 0.5, 0.4, 0.6) for rules in (1, 3))
    return score_page([Score(text, 1.5, 1.0, shares, shares, shares, shares[1]) for text in TEXTS])


def generality_page(folder: Path) -> str:
    """A claim for each hostile string, on models that two of them name."""
    return pages.page(hostile_table(folder))


def hostile_table(folder: Path) -> Any:
    """Claims × models, with a hostile string in every slot of each row."""
    path = folder / "ledger.json"
    path.write_text(json.dumps(hostile_ledger_of(0)), encoding="utf-8")
    return table_of_ledgers([path], (), ())


def hostile_ledger_of(changed: int) -> dict[str, Any]:
    """A claim for each hostile string, which stands in every slot of it, but every `changed`-th is of other seeds."""
    ledger = sample_ledger(claims=COUNT, seeds=2)
    for place, (entry, text) in enumerate(zip(ledger["claims"], TEXTS, strict=False)):
        entry.update(with_strings(entry, lambda slot, tail=text: f"{slot} {tail}"))  # type: ignore[misc]
        entry |= {"figures": [], "model": ALL, "seeds": [1] if changed and place % changed == 0 else entry["seeds"]}
    ledger["run"] = with_strings(ledger["run"], lambda slot: f"{slot} {ALL} {changed}")
    return ledger


def comparison_page(_folder: Path) -> str:
    """Two runs, of which half the claims were measured on other seeds."""
    found = compare(hostile_ledger_of(0), hostile_ledger_of(2))
    return compare_command.comparison_page(found, ALL, ALL)


def notes_page(folder: Path) -> str:
    """Prose, code, mathematics, a fence and front matter of hostile strings, and blocks that gave them."""
    front = yaml.safe_dump({"title": ALL, **{f"field{place}": text for place, text in enumerate(TEXTS)}})
    prose = "\n\n".join(f"Word {text.replace('<<execute', '').replace('<</execute', '')} word" for text in TEXTS
                        if "\n" not in text)  # fmt: skip
    gave = [(mode, kind, text) for text in TEXTS for mode, kind in (("pandoc", "text"), ("raw", "html"))]
    blocks = "".join(
        f'\n\n<<execute id="{place}" output="{mode}">>\n```python\n{json.dumps(text)}\n```\n<</execute>>\n'
        for place, (mode, _, text) in enumerate(gave)
    )
    document = parse(f"---\n{front}---\n\n{prose}{blocks}")
    results = {
        place: Result((Output("printed", text), Output(kind, text)), error=text)
        for place, (_, kind, text) in enumerate(gave)
    }
    return notes_html(document, results, folder, "fallback", About(ALL, 3))


def evidence_page(_folder: Path) -> str:
    """The page of a run."""
    return report.page_html(hostile_report())


def hostile_report() -> dict[str, Any]:
    """A claim for each string, which stands in every slot of it."""
    ledger = sample_ledger(claims=len(TEXTS), seeds=2)
    for entry, one in zip(ledger["claims"], TEXTS, strict=False):
        entry.update(with_strings(entry, lambda slot, tail=one: f"{slot} {tail}"))  # type: ignore[misc]
        entry["figures"] = [{"title": one, "row": {"tokens": ["so ", one], "weights": [0.25, 0.75]}}]
        entry["numbers"] = [{"seed": 100, "values": {}}, {"seed": 101, "missing": one}]
        entry |= {"exchanges": one, "missing": [{"seed": 101, "reason": one}]}
        entry["partners"] = [dict.fromkeys(("claim", "model", "protocol", "cause", "parting"), one)]
        entry["partners"][0]["verdict"] = "refuted"
    ledger["claims"] = ledger["claims"][: len(TEXTS)]
    ledger["run"] = with_strings(ledger["run"], lambda slot: slot + ALL)
    ledger["prompts"] = dict(zip(TEXTS, TEXTS, strict=True))
    ledger["exchanges"] = {one: {"100": {"prompt": one, "truth": one, "answer": one}} for one in TEXTS}
    return ledger


MAKERS = {
    "comparison": comparison_page,
    "demo": demo_page,
    "evidence": evidence_page,
    "experiments": experiment_page,
    "figures": figures_page,
    "fit": fit_page,
    "generality": generality_page,
    "ladder": ladder_of_strings,
    "notes": notes_page,
    "scores": scores_of_strings,
}
"""Kind of page → what makes one, for which it may take a folder."""
