"""What it takes to ask a language model about held-out stories, view by view.

`python benchmarks/choices.py [MODEL] [CORPUS] [SEEDS]`: by default smollm2-135m, `packaged` and 100.
"""

import sys
import time

from optim_hunter import open_language_model
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.observe.choices_language import LANGUAGE_VIEWS, LanguageChooser
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.kept_words import KeptWords
from optim_hunter.tasks.corpus import read_corpus
from optim_hunter.tasks.held_out import ChoiceTask


def measure(chooser: LanguageChooser, seeds: int) -> str:
    """Seconds, on the clock and of all cores together, passes and tokens; opening is not counted."""
    chooser.prepare(range(seeds))
    engine, clock, cores = chooser.engine, time.perf_counter(), time.process_time()
    before = engine.forward_passes, engine.tokens_run
    windows = sum(len(chooser.observe(seed).labels) for seed in range(seeds))
    took = f"{time.perf_counter() - clock:6.1f} s ({time.process_time() - cores:6.1f} s of the cores)"
    passes, tokens = engine.forward_passes - before[0], engine.tokens_run - before[1]
    return f"{windows:6,} windows  {took}  {passes:4} passes  {tokens:8,} tokens"


def main(name: str = "smollm2-135m", corpus: str = "packaged", seeds: str = "100") -> None:
    """Print a line a view."""
    stories = read_corpus(None if corpus == "packaged" else corpus)
    engine = Engine(open_language_model(name))
    for view in LANGUAGE_VIEWS:
        linear = LinearChooser(stories, ChoiceTask(views=(view,)))
        chooser = LanguageChooser(engine, linear, KeptWords(None, engine.model))
        print(f"{name}  {view:6}  {measure(chooser, int(seeds))}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
