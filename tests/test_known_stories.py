"""Rule books are asked about stories that they were not fitted to."""

import pytest

from optim_hunter.claim import UserError
from optim_hunter.subjects.opening import open_subject
from optim_hunter.subjects.subject import Options
from optim_hunter.tasks.corpus import SEPARATOR, read_corpus
from optim_hunter.tasks.held_out import ChoiceTask

PACKAGED = read_corpus(None).stories
TASK = ChoiceTask(views=("prior", "rules"), minimum_windows=1)

KNOWN_STORIES = {
    "the packaged corpus": (PACKAGED, "packaged stories.txt.gz: 100.00%"),
    "all but one": (PACKAGED[1:], "stories.txt: 100.00%"),
    "other spaces": (["\n".join(story.split()) for story in PACKAGED[:200]], "stories.txt: 100.00%"),
    "some of them": ((*PACKAGED[:3], *[f"Once, {n}." for n in range(197)]), "stories.txt: 1.50%"),
}
"""Stories that the rule books were fitted to, and what is said of them."""


def written_corpus(folder, stories):
    """Where a corpus lies."""
    path = folder / "stories.txt"
    path.write_text(f"\n{SEPARATOR}\n".join(stories), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", KNOWN_STORIES)
def test_rule_books_are_not_asked_about_stories_that_they_were_fitted_to(name, tmp_path):
    stories, said = KNOWN_STORIES[name]
    source = None if said.startswith("packaged") else written_corpus(tmp_path, stories)
    with pytest.raises(UserError, match=r"of its stories are in the packaged corpus.*--claims-corpus") as refused:
        open_subject("rule-book", Options(corpus=source), {}, None).precheck(TASK, [0])
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


def test_a_few_stories_that_are_known_are_reported(tmp_path):
    source = written_corpus(tmp_path, [*PACKAGED[:10], *(f"Once more. {story}" for story in PACKAGED[10:1000])])
    corpus = open_subject("rule-book", Options(corpus=source), {}, None).describe(TASK)["corpus"]
    assert corpus["note"] == "1.00% of its stories are in the packaged corpus, to which the rule books were fitted"
