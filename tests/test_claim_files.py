"""What every claim of this repository must have, whatever it says."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import optim_hunter.models.registry as registry
from optim_hunter.cases import cases_of
from optim_hunter.claim import MINIMUM_SEEDS, Verdict, parse_seeds
from optim_hunter.stats.pooled import STATISTICS, check_statistics
from optim_hunter.subjects.synthetic import SYNTHETIC

FILES = sorted((Path(__file__).parents[1] / "claims").glob("*/test_*.py"))


def measures_of(path):
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return [one for one in vars(module).values() if hasattr(one, "__claim__")]


MEASURES = {measure.__claim__.id: measure for path in FILES for measure in measures_of(path)}


def test_every_file_holds_claims_and_no_id_is_given_twice():
    counts = {path.stem: len(measures_of(path)) for path in FILES}
    assert all(counts.values())
    assert sum(counts.values()) == len(MEASURES)


@pytest.mark.parametrize("claim_id", MEASURES)
def test_a_claim_has_controls_for_both_verdicts_that_can_be_opened(claim_id):
    claim = MEASURES[claim_id].__claim__
    assert set(claim.controls.values()) == {Verdict.SUPPORTED, Verdict.REFUTED}
    for name in claim.controls:
        registry.check_name(name)
        assert not name.startswith(registry.SYNTHETIC) or name.removeprefix(registry.SYNTHETIC) in SYNTHETIC
    confirming = len(parse_seeds(claim.control_seeds)) // (2 if claim.search else 1)
    assert confirming >= MINIMUM_SEEDS


@pytest.mark.parametrize("claim_id", MEASURES)
def test_a_claim_runs_on_models_that_are_known_with_enough_seeds(claim_id):
    measure = MEASURES[claim_id]
    check_statistics(measure.__claim__)
    for case in cases_of(measure.__claim__, measure, (), None):
        registry.check_name(case.model)
        assert len(case.seeds) >= MINIMUM_SEEDS


def test_no_statistic_or_generator_is_there_that_no_claim_uses():
    used = {one.statistic for measure in MEASURES.values() for one in measure.__claim__.quantities} - {""}
    assert used == STATISTICS.keys()
    controls = {name for measure in MEASURES.values() for name in measure.__claim__.controls}
    assert {
        name.removeprefix(registry.SYNTHETIC) for name in controls if name.startswith(registry.SYNTHETIC)
    } == SYNTHETIC.keys()


@pytest.mark.parametrize("folder", [FILES[0].parent, None], ids=["its own folder", "a folder outside"])
def test_one_file_can_be_collected_from_any_folder(folder, tmp_path):
    """What claim files share is found whatever folder pytest is started in."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", str(FILES[0])]
    collected = subprocess.run(command, cwd=folder or tmp_path, capture_output=True, text=True)
    assert collected.returncode == 0, collected.stdout + collected.stderr
