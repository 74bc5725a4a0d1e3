"""What was put to models and what they answered, seed by seed: once in a ledger, however many claims rest on it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import lru_cache
from typing import Any

from optim_hunter.cases import Case
from optim_hunter.illustrations import Illustrations
from optim_hunter.tasks.prompts import number_text, regression_prompt
from optim_hunter.tasks.regression import KEPT_EPISODES, Episode

FIELD = "exchanges"
PROMPTS = "prompts"
"""Names in a ledger: key → seed → {prompt, truth, answer}, and key of a prompt → its text."""


def exchanges_of(case: Case, shown: Illustrations) -> dict[str, Any]:
    """The exchanges of a case's model and task and the prompts that they name, for `gather`; empty without any."""
    task = case.protocol.task
    kept = shown.exchanges.get((case.model, task))
    if not kept or case.is_control:
        return {}
    prompts, exchanges = {}, {}
    for seed, one in sorted(kept.items()):
        prompt_key, text = _prompt_of(one.episode, task.template)
        prompts[prompt_key] = text
        exchanges[str(seed)] = {
            "prompt": prompt_key,
            "truth": number_text(one.episode.gold),
            "answer": one.answer,
        }
    key = _short_hash(json.dumps([case.model, dataclasses.asdict(task)], sort_keys=True))
    return {PROMPTS: prompts, FIELD: {key: exchanges}}


def gather(ledger: dict[str, Any], entry: dict[str, Any]) -> None:
    """Move an entry's exchanges and prompts to the ledger, and leave their key in it."""
    ledger.setdefault(PROMPTS, {}).update(entry.pop(PROMPTS, {}))
    for key, by_seed in entry.pop(FIELD, {}).items():
        ledger.setdefault(FIELD, {}).setdefault(key, {}).update(by_seed)
        entry[FIELD] = key


@lru_cache(KEPT_EPISODES)
def _prompt_of(episode: Episode, template: str) -> tuple[str, str]:
    """Key and text of a prompt, made once for all claims that rest on an episode."""
    text = regression_prompt(episode, template).text
    return _short_hash(text), text


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
