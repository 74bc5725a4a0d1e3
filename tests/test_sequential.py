"""Betting against bounded means, and claims that stop as soon as they are settled."""

import itertools
import json
from importlib import resources

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from test_stats import a_claim

import fixtures.imported  # noqa: F401
from optim_hunter.bounds import check_bounds, read_bounds
from optim_hunter.claim import Condition, UserError, Verdict
from optim_hunter.stats.betting import log_capital, lower_bound, p_above, p_below
from optim_hunter.stats.decision import SeedNumber
from optim_hunter.stats.sequential import Looks, examine_sequentially, obstacle, settles
from optim_hunter.stats.verdict import verdict_of

pytest_plugins = ["pytester"]
SHARES = arrays(float, st.integers(0, 40), elements=st.floats(0, 1, width=32))
MEANS = st.floats(0.05, 0.95)
SCHEMA = json.loads((resources.files("optim_hunter.data") / "ledger.schema.json").read_text())


def one_condition(smallest=0.0, **changes):
    return a_claim(conditions=(Condition("a", "", "", smallest),), **changes)


def numbers_of(values):
    return [SeedNumber(seed, {"a": float(value)}) for seed, value in enumerate(values)]


def test_nothing_is_certain_before_data():
    nothing = np.array([])
    assert (p_above(nothing, 0.5, 0.05), p_below(nothing, 0.5, 0.05)) == (1.0, 1.0)
    assert lower_bound(nothing, 0.05) == 0.0


@given(SHARES, MEANS, st.floats(0.001, 0.2))
def test_more_data_never_makes_a_sequential_test_less_certain(numbers, mean, alpha):
    p_values = [p_above(numbers[:look], mean, alpha) for look in range(len(numbers) + 1)]
    assert all(later <= earlier for earlier, later in itertools.pairwise(p_values))
    bounds = [lower_bound(numbers[:look], alpha) for look in range(0, len(numbers) + 1, 8)]
    assert bounds == sorted(bounds)


@given(SHARES, MEANS, st.floats(0.001, 0.2))
def test_a_bound_excludes_a_mean_exactly_when_the_test_does(numbers, mean, alpha):
    bound = lower_bound(numbers, alpha)
    if abs(bound - mean) > 1e-9:
        assert (p_above(numbers, mean, alpha) <= alpha) == (bound > mean)


@given(SHARES, MEANS, st.floats(0.001, 0.2))
def test_the_capital_falls_with_the_mean_that_is_bet_against(numbers, mean, alpha):
    assert np.all(log_capital(numbers, mean, alpha) >= log_capital(numbers, mean + 0.04, alpha) - 1e-9)


@given(arrays(float, 30, elements=st.floats(0, 1, width=32)), MEANS)
def test_bets_do_not_look_ahead(numbers, mean):
    other = numbers.copy()
    other[20:] = 1 - other[20:]
    assert log_capital(numbers, mean, 0.05)[:20] == pytest.approx(log_capital(other, mean, 0.05)[:20])


def test_the_capital_of_two_numbers_by_hand():
    second = np.sqrt(2 * np.log(20) / ((0.25 + (0.9 - 0.7) ** 2) / 2 * 2 * np.log(3)))
    first = np.sqrt(2 * np.log(20) / (0.25 * np.log(2)))
    stakes = np.minimum([first, second], 0.75 / 0.5)
    capital = np.cumprod(1 + stakes * (np.array([0.9, 0.4]) - 0.5))
    assert np.exp(log_capital(np.array([0.9, 0.4]), 0.5, 0.05)) == pytest.approx(capital)


def test_capital_is_fair_under_the_null():
    """Its mean stays at 1, and no more than α of the runs ever reach 1/α, whatever the distribution of mean 0.3."""
    generator = np.random.default_rng(0)
    draws = {"two points": generator.random((4000, 60)) < 0.3, "beta": generator.beta(0.6, 1.4, (4000, 60))}
    for drawn in draws.values():
        paths = np.exp([log_capital(numbers, 0.3, 0.05) for numbers in drawn.astype(float)])
        early = paths[:, 4]
        assert early.mean() == pytest.approx(1, abs=4 * early.std() / np.sqrt(len(early)))
        reached = int((paths.max(axis=1) >= 20).sum())
        assert stats.binomtest(reached, len(paths), 0.05, alternative="greater").pvalue > 0.01


def test_a_strong_effect_is_settled_early_and_none_is_settled_before_twenty():
    generator = np.random.default_rng(1)
    looks = Looks(one_condition(), {"a": (-4.0, 4.0)}, 1)
    numbers = numbers_of(generator.normal(0.7, 1.0, 100))
    settled = next(look for look in range(101) if settles(looks, numbers[:look]))
    assert 20 <= settled < 50
    assert not settles(looks, numbers_of(np.full(19, 4.0)))
    assert settles(looks, numbers_of(np.full(20, 4.0)))


@pytest.mark.parametrize(("mean", "verdict"), [(1.5, Verdict.SUPPORTED), (-1.5, Verdict.REFUTED)])
def test_what_is_settled_has_its_verdict_and_an_interval_on_one_side(mean, verdict):
    generator = np.random.default_rng(2)
    looks = Looks(one_condition(0.25), {"a": (-4.0, 4.0)}, 3)
    numbers = numbers_of(generator.normal(mean, 1.0, 40))
    tested = examine_sequentially(looks, numbers)
    both, result = tested.combined, tested.conditions["a"]
    assert settles(looks, numbers)
    assert verdict_of(3 * both.p, 3 * both.p_refuted, both.n, 0.05) is verdict
    assert not result.interval[0] <= 0.25 <= result.interval[1]
    assert result.interval[0] < result.effect < result.interval[1]


def test_missing_seeds_are_losses_for_the_claim_and_nothing_against_it():
    generator = np.random.default_rng(3)
    looks = Looks(one_condition(), {"a": (-4.0, 4.0)}, 1)
    whole = numbers_of(generator.normal(0.5, 1.0, 40))
    lossy = [*whole, SeedNumber(40, None, "lost", 1.0), SeedNumber(41, None, "lost", 1.0)]
    before, after = (examine_sequentially(looks, numbers).conditions["a"] for numbers in (whole, lossy))
    assert after.p_refuted == before.p_refuted
    assert after.effect == before.effect
    missing_first = [lossy[-1], lossy[-2], *whole]
    assert examine_sequentially(looks, missing_first).conditions["a"].p > before.p
    assert not settles(looks, [*[SeedNumber(90 + lost, None, "lost", 1.0) for lost in range(9)], *whole])


def test_a_refutation_of_one_of_two_conditions_pays_for_both():
    claim = a_claim(conditions=(Condition("a", "", "", 0.0), Condition("b", "", "", 0.0)))
    looks = Looks(claim, {"a": (-4.0, 4.0), "b": (-4.0, 4.0)}, 1)
    generator = np.random.default_rng(4)
    numbers = [SeedNumber(seed, {"a": 1 + generator.normal(), "b": generator.normal() - 1}) for seed in range(40)]
    tested = examine_sequentially(looks, numbers)
    assert tested.combined.p_refuted == pytest.approx(2 * tested.conditions["b"].p_refuted)
    assert tested.combined.decisive == "b"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bootstrap": True}, "resample one corpus"),
        ({"search": True}, "one half"),
        ({}, "no bounds are declared for a"),
    ],
)
def test_what_cannot_be_looked_at_says_why(changes, said):
    assert said in obstacle(one_condition(**changes), {}, [])
    assert obstacle(one_condition(), {"a": (-1.0, 1.0)}, []) == ""


def test_several_numbers_a_seed_cannot_be_bounded():
    bounds = {"a": (-1.0, 1.0)}
    assert obstacle(one_condition(), bounds, [{"a": 0.5}]) == ""
    assert "a, which has several numbers a seed" in obstacle(one_condition(), bounds, [{"a": 0.5}, {"a": np.zeros(3)}])


ENTRY = '[[bounds]]\nclaim = "{claim}"\ncondition = "{condition}"\nlow = {low}\nhigh = 4\nclipped = "{clipped}"\n'
BEYOND = {"claim": "test/claim", "condition": "a", "low": -4, "clipped": "what is beyond 4"}


def test_bounds_are_read_and_held_to_their_claims(tmp_path):
    (tmp_path / "bounds.toml").write_text(ENTRY.format(**BEYOND))
    bounds = read_bounds(tmp_path)
    assert bounds == {("test/claim", "a"): (-4.0, 4.0)}
    check_bounds(bounds, [one_condition()])
    assert read_bounds(tmp_path / "nowhere") == {}
    for claim, said in (
        (one_condition(9.0), "does not lie between -4 and 4"),
        (a_claim(conditions=(Condition("b", "", "", 0.0),)), "no quantity 'a'"),
    ):
        with pytest.raises(UserError, match=said):
            check_bounds(bounds, [claim])


@pytest.mark.parametrize("text", ["[[bounds]]\n", "bounds = 3\n", "?", ENTRY.format(**BEYOND | {"clipped": " "})])
def test_bounds_that_cannot_be_read_are_refused(tmp_path, text):
    (tmp_path / "bounds.toml").write_text(text)
    with pytest.raises(UserError, match=r"bounds\.toml.*each \[\[bounds\]\] needs"):
        read_bounds(tmp_path)


CLAIMS = """
from optim_hunter import Claim, Condition, Protocol, claim
from optim_hunter.tasks.regression import RegressionTask

def mine(name):
    return Claim(
        id=f"mine/{name}", statement="It holds.", source="a test", family="mine",
        conditions=(Condition("gain", "a number", "units", 1.0),),
        protocols=(Protocol("published", RegressionTask(examples=50), models=("recorded:llama-3.1-8b",)),),
        seeds="0-59",
    )

def noise(observation):
    return (observation.episode.seed % 7) / 10

@claim(mine("holds"))
def test_holds(observation):
    return 2 + noise(observation)

@claim(mine("fails"))
def test_fails(observation):
    return noise(observation) - 1

@claim(mine("open"))
def test_open(observation):
    return 0.7 + noise(observation)

@claim(mine("rows"))
def test_rows(observation):
    return [2 + noise(observation)] * 2

@claim(mine("unbounded"))
def test_unbounded(observation):
    return 2 + noise(observation)
"""


def write_claims(folder):
    entries = [
        ENTRY.format(claim=f"mine/{name}", condition="gain", low=-2, clipped="nothing")
        for name in ("holds", "fails", "open", "rows")
    ]
    (folder / "test_mine.py").write_text(CLAIMS)
    (folder / "bounds.toml").write_text("\n".join(entries))


def test_two_workers_stop_at_the_same_seeds(pytester):
    """A worker may measure seeds that another's have settled by then; what is decided and kept is the same."""
    write_claims(pytester.path)
    options = ("-p", "no:cacheprovider", "--claims-store=none", "--claims-sequential")
    pytester.runpytest_inprocess(*options, "--claims-out", "one")
    pytester.runpytest_subprocess(*options, "--claims-out", "two", "-n", "2")
    one, two = (json.loads((pytester.path / name / "ledger.json").read_text())["claims"] for name in ("one", "two"))
    assert sorted(map(json.dumps, one)) == sorted(map(json.dumps, two))


def test_a_sequential_run_stops_where_it_is_settled_and_says_so(pytester):
    write_claims(pytester.path)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--claims-store=none", "--claims-sequential", "-rs")
    ledger = json.loads((pytester.path / "reports/latest/ledger.json").read_text())
    jsonschema.validate(ledger, SCHEMA)
    found = {entry["claim"].removeprefix("mine/"): entry for entry in ledger["claims"]}
    assert {name: entry["verdict"] for name, entry in found.items()} == {
        "holds": "supported", "fails": "refuted", "open": "inconclusive", "unbounded": "supported", "rows": "supported",
    }  # fmt: skip
    stops = {name: entry["sequential"] for name, entry in found.items()}
    assert stops["holds"]["settled"]
    assert 20 <= stops["holds"]["seeds_looked_at"] < 60
    assert stops["open"] == {"seeds_looked_at": 60, "settled": False}
    assert stops["rows"] == {"obstacle": "bounds are declared for gain, which has several numbers a seed: remove them"}
    assert stops["unbounded"] == {"obstacle": "no bounds are declared for gain"}
    assert len(found["holds"]["numbers"]) == found["holds"]["n"] == stops["holds"]["seeds_looked_at"]
    assert found["holds"]["p_adjusted"] == pytest.approx(5 * found["holds"]["p"])
    assert found["holds"]["conditions"][0]["bounds"] == [-2, 4]
    assert "second_opinions" in found["unbounded"]["conditions"][0]
    assert f"after each of {found['holds']['n']} out of 60 seeds" in found["holds"]["sentence"]
    result.stdout.fnmatch_lines([f"*settled after {found['holds']['n']} seeds*"])
    result.assert_outcomes(passed=found["holds"]["n"] + found["fails"]["n"] + 180 + 3, failed=1,
                           skipped=120 - found["holds"]["n"] - found["fails"]["n"] + 1)  # fmt: skip


def test_without_the_option_no_bound_is_read(pytester):
    pytester.makepyfile(test_mine=CLAIMS)
    (pytester.path / "bounds.toml").write_text("?")
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "--claims-store=none", "-k", "holds and verdict")
    ledger = json.loads((pytester.path / "reports/latest/ledger.json").read_text())
    assert ledger["claims"][0]["n"] == 60
    assert ledger["claims"][0]["sequential"] is None
