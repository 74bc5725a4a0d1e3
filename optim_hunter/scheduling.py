"""Which worker of pytest-xdist runs which items: claims by folder and model, ordinary tests as `--dist` says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from xdist.scheduler import EachScheduling, LoadFileScheduling, LoadGroupScheduling, LoadScopeScheduling

CLAIM_ITEM = re.compile(r"\[(?P<case>.+)-(?:\d+|verdict)\](?:@.*)?$")
"""The end of an item's id that may be a seed or a verdict of a claim: model and protocol, seed."""

SCOPED = {"loadscope": LoadScopeScheduling, "loadfile": LoadFileScheduling, "loadgroup": LoadGroupScheduling}
"""Values of `--dist` that keep ordinary tests together."""


def model_of(item_id: str, models: Mapping[str, str]) -> str | None:
    """The model that an item of a claim is about, by model and protocol as they stand in ids; None for other tests."""
    found = CLAIM_ITEM.search(item_id)
    return models.get(found["case"]) if found else None


Plan = Callable[[], Mapping[str, Any] | None]
"""The plan of the run, once a worker has collected claims."""


class ModelScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """All items of one model in one folder go to one worker, as they were collected: verdicts after their seeds.

    Claims of one folder share passes, which are run once; prompts and stories, in folders of their own, share none, and
    two workers may each have the model open. What has the most items starts first. What a verdict needs of other
    models, its controls, it reads in the run's folder (`journal.py`), or measures.
    """

    def __init__(self, config: pytest.Config, log: Any, models: Mapping[str, str]) -> None:
        super().__init__(config, log)
        self._models = models
        asked = SCOPED.get(config.getoption("dist"))
        self._ordinary = asked(config, log) if asked else None

    def _split_scope(self, nodeid: str) -> str:
        model = model_of(nodeid, self._models)
        if model is not None:
            return f"model {model} in {nodeid.split('::')[0].rpartition('/')[0]}"
        return self._ordinary._split_scope(nodeid) if self._ordinary else nodeid


class SchedulingByContent:
    """The scheduling that was asked for, until a worker has collected claims: from then on by their models."""

    def __init__(self, asked: Any, config: pytest.Config, log: Any, plan: Plan) -> None:
        self._chosen, self._config, self._log, self._plan = asked, config, log, plan

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Take a worker's items; the first to come decide on the scheduling."""
        plan = None if isinstance(self._chosen, ModelScheduling) else self._plan()
        if plan is not None:
            names = {f"{model}-{protocol}": model for _, model, protocol, *_ in plan["cases"]}
            # pytest escapes in ids what is not ASCII, unless it is told not to.
            models = names | {name.encode("unicode_escape").decode("ascii"): model for name, model in names.items()}
            asked, self._chosen = self._chosen, ModelScheduling(self._config, self._log, models)
            for known in asked.nodes:
                self._chosen.add_node(known)
        self._chosen.add_node_collection(node, collection)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chosen, name)


def scheduling(asked: Any, config: pytest.Config, log: Any, plan: Plan) -> Any:
    """What distributes the items; `--dist each` gives all of them to every worker, whatever they are."""
    if asked is None or isinstance(asked, EachScheduling):
        return asked
    return SchedulingByContent(asked, config, log, plan)
