"""A control that `--claims-model` names: it stays one, at its own seeds."""

import pytest
from test_plugin import CLAIM, NOISE, ledger_of, run

import fixtures.imported  # noqa: F401

pytest_plugins = ["pytester"]
CONTROLLED = CLAIM.replace(
    'seeds="0-29"',
    'seeds="0-29", control_seeds="0-23",\n'
    '    controls={{"synthetic:two-error-groups": Verdict.SUPPORTED, "synthetic:profiles-alike": Verdict.SUPPORTED}}',
).replace('"recorded:llama-3.1-8b"', '"synthetic:two-error-groups-twin"')


@pytest.mark.parametrize("order", [1, -1])
def test_a_control_that_is_chosen_as_a_model_stays_one(pytester, order):
    pytester.makepyfile(test_holds=CONTROLLED.format(name="holds", body=f"return 2 + {NOISE}"))
    control, other = "synthetic:two-error-groups", "synthetic:two-error-groups-twin"
    chosen = [f"--claims-model={model}" for model in (control, other)[::order]]
    result = run(pytester, "--claims-seeds=20", *chosen)
    result.assert_outcomes(passed=24 + 24 + 20 + 3)
    result.stdout.fnmatch_lines([f"{control} is a control of mine/holds: it runs at its own seeds"])
    result.stdout.no_fnmatch_line("*no selected claim*")
    found = {entry["model"]: entry for entry in ledger_of(pytester)["claims"]}
    assert found[control]["control"]
    assert (found[control]["n"], found[other]["n"]) == (24, 20)
    assert [one["model"] for one in found[other]["controls"]] == [control, "synthetic:profiles-alike"]


def test_the_verdict_of_a_control_alone_asks_for_its_own_seeds(pytester):
    pytester.makepyfile(test_holds=CONTROLLED.format(name="holds", body=f"return 2 + {NOISE}"))
    alone = "-k", "groups and verdict and not twin", "--claims-model=synthetic:two-error-groups"
    run(pytester, "--claims-seeds=20", *alone).assert_outcomes(passed=1, deselected=49)
    (entry,) = ledger_of(pytester)["claims"]
    assert (entry["control"], entry["n"]) == (True, 24)
