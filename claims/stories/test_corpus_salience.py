"""What the corpus itself says: " but" comes after a comma, " so" after " was"."""

from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.last_tokens import share_followed, share_preceded
from optim_hunter.tasks.stories import LastTokenTask

CORPUS_SALIENCE = Claim(
    id="stories/corpus-salience",
    statement='Where one of " and", " but", " for", " so", " or" comes, " but" is almost always preceded by ",", and '
    '" was" is followed by " so" more often than by the four others together.',
    source="Thoughts on Hand Crafting Language Models (Zephaniah Roe)",
    conditions=(
        Condition(
            "but after comma", 'of the windows before " but", the share that end with ","', "share", smallest_effect=0.9
        ),
        Condition(
            "so after was", 'of the windows that end with " was", the share before " so"', "share", smallest_effect=0.5
        ),
    ),
    family="stories-corpus",
    protocols=(
        Protocol(
            "corrected", LastTokenTask(), models=("linear",), note="seeds resample whole stories; nothing is fitted"
        ),
    ),
    controls={
        "planted:salient-corpus": Verdict.SUPPORTED,
        "planted:salient-corpus-twin": Verdict.REFUTED,
    },
    control_seeds="0-47",  # with two conditions, fewer resamples than 39 could refute nothing at 0.05
    bootstrap=True,
    published='" but" is almost always preceded by the "," token; " was" is often followed by " so"',
)


@claim(CORPUS_SALIENCE)
def test_corpus_salience(observation):
    return {
        "but after comma": share_preceded(observation, " but", ","),
        "so after was": share_followed(observation, " was", " so"),
    }
