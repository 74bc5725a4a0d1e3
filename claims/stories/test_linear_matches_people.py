"""A linear model chooses the conjunction as well as people do."""

from fixtures.held_out import matches_people
from optim_hunter import claim
from optim_hunter.measures.choices import accuracy, lead_over_person

LINEAR_MATCHES_PEOPLE = matches_people("linear", "linear", ("linear",), "a linear model")


@claim(LINEAR_MATCHES_PEOPLE)
def test_linear_matches_people(observation):
    return {
        "against the author": lead_over_person(observation, "linear", "author"),
        "against the mentor": lead_over_person(observation, "linear", "mentor"),
        "most frequent word against the mentor": lead_over_person(observation, "prior", "mentor"),
        "gain over the most frequent word": accuracy(observation, "linear") - accuracy(observation, "prior"),
    }
