"""What the report shows of seeds beside their numbers: profiles, prompts and answers. Nothing is decided by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optim_hunter.cases import Case
from optim_hunter.claim import NoValue, Profile, UserError
from optim_hunter.tasks.regression import Episode, draw

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Exchange:
    """What was put to a model for a seed, and what it said; None where nobody asked for its answer."""

    episode: Episode
    answer: str | None


@dataclass
class Illustrations:
    """Kept as seeds are observed.

    Attributes:
        exchanges: model and task → seed → what was said of its first test case.
    """

    exchanges: dict[tuple[str, Any], dict[int, Exchange]] = field(default_factory=dict)
    _profiles: dict[tuple[str, str, str], dict[str, dict[int | None, list[Numbers]]]] = field(default_factory=dict)

    def note(self, case: Case, seed: int | None, query: int, observation: Any) -> None:
        """Keep what an observation gives to show; a profile that has no value leaves the seed out of its figure.

        Of controls nothing is shown but their verdict.

        Raises:
            UserError: a profile's own code raised something else.
        """
        if case.is_control:
            return
        if query == 0 and seed is not None and hasattr(observation, "episode"):
            answer = observation.shown.get("answer")
            exchange = Exchange(observation.episode, None if answer is None else answer.text)
            self.exchanges.setdefault((case.model, case.protocol.task), {})[seed] = exchange
        for profile in case.profiles:
            self._note_profile(case, profile, seed, observation)

    def _note_profile(self, case: Case, profile: Profile, seed: int | None, observation: Any) -> None:
        try:
            found = profile.of(observation)
        except NoValue:
            return
        except UserError:
            raise
        except Exception as error:
            fault = f"{case.claim.id}: its profile {profile.title!r} raised {type(error).__name__}: {error}"
            raise UserError(fault) from error
        by_seed = self._profiles.setdefault(case.key, {}).setdefault(profile.title, {})
        by_seed.setdefault(seed, []).append(found)

    def profile(self, case: Case, profile: Profile) -> dict[int | None, Numbers]:
        """Seed → a profile's numbers, means over its queries; None is the whole corpus."""
        noted = self._profiles.get(case.key, {}).get(profile.title, {})
        return {
            seed: {label: float(np.mean([one[label] for one in queries])) for label in queries[0]}
            for seed, queries in sorted(noted.items(), key=lambda one: (one[0] is None, one[0]))
        }

    def record(self, case: Case, seed: int | None) -> dict[str, Any]:
        """What was kept of a case's seed, as JSON data."""
        noted = self._profiles.get(case.key, {})
        profiles = {title: by_seed[seed] for title, by_seed in noted.items() if seed in by_seed}
        exchange = self.exchanges.get((case.model, case.protocol.task), {}).get(seed) if seed is not None else None
        return {"profiles": profiles} | ({} if exchange is None else {"answer": exchange.answer})

    def take(self, case: Case, seed: int | None, record: Mapping[str, Any]) -> None:
        """Take over what `record` gave in another process."""
        if "answer" in record and seed is not None:
            exchange = Exchange(draw(case.protocol.task, seed), record["answer"])
            self.exchanges.setdefault((case.model, case.protocol.task), {})[seed] = exchange
        for title, queries in record["profiles"].items():
            self._profiles.setdefault(case.key, {}).setdefault(title, {})[seed] = queries
