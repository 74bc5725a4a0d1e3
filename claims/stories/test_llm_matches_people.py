"""A language model chooses the conjunction as well as people do."""

from fixtures.held_out import MODELS, matches_people
from optim_hunter import claim
from optim_hunter.measures.choices import accuracy, lead_over_person

LLM_MATCHES_PEOPLE = matches_people("llm", "window", MODELS, "the language model")


@claim(LLM_MATCHES_PEOPLE)
def test_llm_matches_people(observation):
    return {
        "against the author": lead_over_person(observation, "window", "author"),
        "against the mentor": lead_over_person(observation, "window", "mentor"),
        "most frequent word against the mentor": lead_over_person(observation, "prior", "mentor"),
        "gain over the most frequent word": accuracy(observation, "window") - accuracy(observation, "prior"),
    }
