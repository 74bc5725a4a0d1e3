"""The page of the stories laboratory, made and opened, for the tests of it in a browser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from browser import Browser
from scipy.special import softmax

from optim_hunter.cli import main
from optim_hunter.models.linear_path import PathPoint
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.observe.store import Store
from optim_hunter.tasks.corpus import SEPARATOR, read_corpus
from optim_hunter.tasks.held_out import ChoiceTask

HALF = 4200
"""Stories of the packaged corpus that have a hundred windows of every conjunction."""


SENTENCES = [
    "", "Tom", " but", "One day, a girl named Mia went to the park with her mom and dad. She was happy,",
    "He wanted to play with the big red ball, but his mom said that it was too late. He was",
    "Lily’s café 🙂 was \x00 odd",
    "the end   ",
]  # fmt: skip


BOXES = """Object.fromEntries([...document.querySelectorAll('#boxes li')].map(
    box => [box.dataset.word, Number(box.dataset.push)]))"""


@dataclass
class Made:
    """A page of the conjunctions of a corpus, and the same model in Python."""

    page: Path
    chooser: LinearChooser

    @property
    def best(self) -> PathPoint:
        return self.chooser.path.chosen

    def encode(self, text: str) -> list[int]:
        whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return self.chooser.tokenizer.encode(whole).ids

    def probabilities(self, sentence: str) -> np.ndarray:
        """What the unrounded model says: the tokens stand at the last positions, the far ones add nothing."""
        tokens = self.encode(sentence.rstrip(" "))[-16:]
        features = [place * self.chooser.tokenizer.get_vocab_size() + token for place, token in
                    enumerate(tokens, 16 - len(tokens))]  # fmt: skip
        return softmax(self.best.offsets + self.best.weights[features].sum(0))


def make(folder: Path, stories: list[str], *groups: str) -> Made:
    """The page of the conjunctions, and of further groups."""
    corpus = folder / "corpus.txt"
    corpus.write_text(SEPARATOR.join(stories), encoding="utf-8")
    page, store = folder / "page.html", folder / "store"
    command = ["demo", "--group", "conjunctions", *groups, "--corpus", str(corpus), "-o", str(page)]
    assert main([*command, "--store", str(store)]) == 0
    chooser = LinearChooser(read_corpus(corpus), ChoiceTask(views=("prior", "linear")), Store(store))
    made = Made(page, chooser)
    assert made.best.nonzero
    assert chooser.fits == 0  # the page's own fits were kept
    return made


def show(browser: Browser, made: Made, address: str = "") -> None:
    browser.open(made.page.parent / "none.html")  # a change of the hash alone would not load the page
    browser.open(made.page, address and f"#{address}")
    browser.wait_for("window.demo")


def press(browser: Browser, *keys: str) -> None:
    """Keys one after the other, as a person presses them; a single character is written."""
    codes = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40}
    for key in keys:
        code = {"windowsVirtualKeyCode": codes[key]} if key in codes else {"text": key}
        browser.key(key, **code)
