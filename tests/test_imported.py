"""Inner runs of pytest import no package anew: each of them would do it again, for seconds."""

import sys

import fixtures.imported  # noqa: F401

pytest_plugins = ["pytester"]
CLAIMS = """
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.tasks.regression import RegressionTask

def define(name, model, examples, **more):
    protocol = Protocol("published", RegressionTask(examples=examples), models=(model,))
    return claim(Claim(
        id=f"mine/{name}", statement="It holds.", source="a test", family="mine", needs={"answer"}, seeds="0-24",
        conditions=(Condition("gain", "a number", "units", 1.0),), protocols=(protocol,), **more))

@define("told", "recorded:llama-3.1-8b", 50)
def test_told(observation):
    return 0.7 + (observation.episode.seed % 7) / 10

@define("run", "planted:kernel-regression", 8, controls={"planted:kernel-regression-twin": Verdict.SUPPORTED})
def test_run(observation):
    return 2 + (observation.episode.seed % 7) / 10
"""


class Seen:
    """What is imported at the end of an inner run."""

    def pytest_unconfigure(self):
        self.modules = set(sys.modules)


def test_a_run_imports_no_package_anew(pytester):
    pytester.makepyfile(test_mine=CLAIMS)
    before, seen = set(sys.modules), Seen()
    ended = pytester.inline_run("-p", "no:cacheprovider", "-q", "--claims-store=none", plugins=[seen])
    ended.assertoutcome(passed=25 + 26 + 25, skipped=1)  # one is inconclusive
    anew = sorted(
        name for name in seen.modules - before if name.split(".")[0] not in {*sys.stdlib_module_names, "test_mine"}
    )
    assert anew == [], " ".join(anew)
