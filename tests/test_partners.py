"""Claims beside their causal partners: in the definition, the ledger, the page and the terminal."""

import dataclasses
import itertools
import json
from importlib import resources

import jsonschema
import numpy as np
import pytest
from sample_ledger import HOSTILE, sample_ledger
from test_claim_files import MEASURES
from test_plugin import CLAIM, NOISE, entries, run

import fixtures.imported  # noqa: F401
from optim_hunter import Claim, Condition, Protocol
from optim_hunter.claim import UserError, Verdict, check_partners
from optim_hunter.evidence import report
from optim_hunter.evidence.partners import parting, partners_of
from optim_hunter.stats.decision import SeedNumber, examine
from optim_hunter.tasks.regression import RegressionTask

pytest_plugins = ["pytester"]
SCHEMA = json.loads((resources.files("optim_hunter.data") / "ledger.schema.json").read_text(encoding="utf-8"))
BY_LEAD = "cause refuted by its “lead”"
PARTED = f"correlation supported, {BY_LEAD}"


def claim(name, partner_of=""):
    conditions = (Condition("gain", "a number", "units", 1.0),)
    return Claim(name, "It holds.", "a test", conditions, (Protocol("p", RegressionTask(), ()),), "f",
                 partner_of=partner_of)  # fmt: skip


# the definition


def test_a_partner_is_collected_or_registered():
    check_partners([claim("cause", "correlation"), claim("correlation")], registered=())
    check_partners([claim("cause", "correlation")], registered={"correlation"})
    with pytest.raises(UserError, match="cause: partner_of names 'correlation', which is neither collected nor reg"):
        check_partners([claim("cause", "correlation")], registered={"another"})
    with pytest.raises(UserError, match="no claim is its own partner"):
        claim("cause", "cause")


def test_no_partner_leaves_the_definition_as_it_was():
    assert "partner_of" not in claim("correlation").definition()
    assert claim("cause", "correlation").definition()["partner_of"] == "correlation"


@pytest.mark.parametrize("wrong", [{"found_as": ("lead",)}, {"found_as": ("gain",), "found_by": "gain"}])
def test_what_finds_the_candidate_is_stated_once_and_is_a_quantity(wrong):
    with pytest.raises(UserError, match="found_as"):
        dataclasses.replace(claim("cause", "correlation"), search=True, **wrong)


def test_a_partner_finds_the_candidate_of_its_claim_and_not_its_own():
    looks, drop = Condition("looks", "a number", "units", 1.0), Condition("drop", "a number", "units", 0.1)
    correlation = dataclasses.replace(claim("correlation"), conditions=(looks,), search=True)
    cause = dataclasses.replace(correlation, conditions=(drop,), shown=(looks,), found_as=("looks",))
    generator = np.random.default_rng(6)
    seeds = [
        SeedNumber(seed, {"looks": generator.normal([0.0, 3.0], 1.0), "drop": generator.normal([3.0, 0.0], 1.0)})
        for seed in range(60)
    ]
    assert examine(correlation, seeds, None, None).candidate == examine(cause, seeds, None, None).candidate == (1,)
    assert examine(dataclasses.replace(cause, found_as=()), seeds, None, None).candidate == (0,)


PARTNERS = [measure.__claim__ for measure in MEASURES.values() if measure.__claim__.partner_of]


@pytest.mark.parametrize("cause", [one for one in PARTNERS if one.search], ids=lambda one: one.id)
def test_a_partner_that_searches_does_so_as_its_claim(cause):
    correlation = MEASURES[cause.partner_of].__claim__
    for part in ("sought", "seeds", "named", "search", "found_by"):
        assert getattr(cause, part) == getattr(correlation, part)
    assert [one.task for one in cause.protocols] == [one.task for one in correlation.protocols]


# where they part


@pytest.mark.parametrize(("correlation", "cause"), [*itertools.product(map(str, Verdict), repeat=2)])
def test_two_part_where_one_holds_and_the_other_does_not(correlation, cause):
    said = parting(entry("correlation", verdict=correlation), entry("cause", "correlation", verdict=cause))
    expected = {
        ("supported", "refuted"): PARTED,
        ("refuted", "supported"): "correlation refuted, cause supported",
    }
    assert said == expected.get((correlation, cause))


def entry(name, partner_of=None, model="m", protocol="p", verdict="supported", control=False, candidate=None):
    return {"claim": name, "model": model, "protocol": protocol, "verdict": verdict, "control": control,
            "partner_of": partner_of, "decisive_condition": "lead", "candidate": candidate}  # fmt: skip


def beside(claim, model="m", protocol="p", parting=None, verdict="supported", cause="cause supported"):
    return {"claim": claim, "model": model, "protocol": protocol, "verdict": verdict, "cause": cause,
            "parting": parting}  # fmt: skip


def test_a_partner_is_of_the_same_model_and_protocol():
    correlations = [entry("correlation"), entry("correlation", model="another")]
    partners = [entry("cause", "correlation", verdict="refuted"), entry("other", "correlation")]
    elsewhere = [
        entry("cause", "correlation", model="another"),
        entry("cause", "correlation", protocol="another"),
        entry("cause", "correlation", control=True),
        entry("cause", "something else"),
    ]
    found = partners_of(correlations[0], [*correlations, *elsewhere, *partners])
    assert found == [beside("cause", parting=PARTED, verdict="refuted", cause=BY_LEAD), beside("other")]
    assert partners_of(entry("correlation", control=True), partners) == []


def test_beside_a_claim_about_the_linear_model_stands_what_trained_language_models_do():
    correlation, cause = entry("correlation", model="linear"), entry("cause", "correlation", model="smollm2-135m")
    untrained = entry("cause", "correlation", model="random:smollm2-135m", verdict="refuted")
    named = beside("cause", model="smollm2-135m", cause="cause supported on smollm2-135m")
    assert partners_of(correlation, [correlation, cause, untrained]) == [named]


@pytest.mark.parametrize("model", ["random:smollm2-135m", "trained-toy", "recorded:llama-3.1-8b"])
def test_no_row_of_a_language_model_has_the_verdict_of_another(model):
    correlation, cause = entry("correlation", model="smollm2-135m"), entry("cause", "correlation", model=model)
    assert partners_of(correlation, [correlation, cause]) == partners_of(cause, [correlation, cause]) == []
    recorded = entry("correlation", model=model)
    assert partners_of(recorded, [recorded, entry("cause", "correlation", model="smollm2-135m")]) == []


def test_a_partner_that_found_another_head_parts_from_nothing_and_says_so():
    correlation = entry("correlation", candidate=[1, 3])
    [same] = partners_of(correlation, [entry("cause", "correlation", verdict="refuted", candidate=[1, 3])])
    [other] = partners_of(correlation, [entry("cause", "correlation", verdict="refuted", candidate=[1, 0])])
    assert same["parting"] == PARTED
    assert (other["parting"], other["cause"]) == (None, f"{BY_LEAD} of another candidate, L1H0")


# the page


def with_partner(text=""):
    """A ledger whose first claim is supported, and its partner, the second, refuted."""
    ledger = sample_ledger(claims=2, seeds=30)
    correlation, cause = ledger["claims"][:2]
    cause |= {
        "claim": f"regression/cause{text}",
        "partner_of": correlation["claim"],
        "decisive_condition": f"lead{text}",
    }
    correlation["partners"] = partners_of(correlation, ledger["claims"])
    return ledger


def test_the_row_carries_the_partners_verdict_and_the_section_says_that_they_part():
    ledger = with_partner()
    jsonschema.validate(ledger, SCHEMA)
    page = report.page_html(ledger)
    table = page[: page.index("</table>")]
    link = '<a href="#regression-cause-smollm2-135m-corrected-2">cause</a>: refuted'
    assert f'<div class="warning">{link} — parts</div>' in table
    assert f"the two part, {PARTED}." in page
    assert "Causal partner of <a" in page


def test_a_partner_that_agrees_is_named_without_a_warning():
    ledger = with_partner()
    cause = ledger["claims"][1] | {"verdict": "supported"}
    ledger["claims"][0]["partners"] = partners_of(ledger["claims"][0], [ledger["claims"][0], cause])
    page = report.page_html(ledger)
    row = page[: page.index("</table>")]
    assert ">cause</a>: supported</div>" in row
    assert "— parts" not in row


def test_a_ledger_without_partners_has_its_page():
    page = report.page_html(sample_ledger(claims=2, seeds=30))
    assert page.count('<td class="cause">–</td>') == 2
    assert "Causal partner of" not in page


@pytest.mark.parametrize("text", HOSTILE)
def test_a_partners_text_stays_text(text):
    plain, hostile = (report.page_html(with_partner(one)) for one in ("", text))
    assert hostile.count("<script") == plain.count("<script")
    assert hostile.count("<img") == plain.count("<img") == 0


# a run


def written(pytester, name, body, partner_of=""):
    text = CLAIM.format(name=name, body=body)
    pytester.makepyfile(**{f"test_{name}": text.replace('seeds="0-29"', f'seeds="0-29", partner_of="{partner_of}"')})


def test_a_run_puts_both_beside_each_other_whichever_comes_first(pytester):
    written(pytester, "a_cause", f"return {NOISE}", partner_of="mine/correlation")
    written(pytester, "correlation", f"return 2 + {NOISE}")
    result = run(pytester)
    found = entries(pytester)
    cause = "cause refuted by its “gain”"
    said = f"correlation supported, {cause}"
    recorded = beside("mine/a_cause", "recorded:llama-3.1-8b", "published", said, "refuted", cause)
    assert found["correlation"]["partners"] == [recorded]
    assert found["a_cause"]["partners"] == []
    assert (found["a_cause"]["partner_of"], found["correlation"]["partner_of"]) == ("mine/correlation", None)
    result.stdout.fnmatch_lines([f"*✓ mine/correlation on *; {said} (mine/a_cause)"])


def test_a_partner_of_nothing_is_refused_before_anything_runs(pytester):
    written(pytester, "cause", f"return {NOISE}", partner_of="mine/correlatoin")
    result = run(pytester)
    result.stderr.fnmatch_lines(["*mine/cause: partner_of names 'mine/correlatoin', which is neither collected nor*"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR
