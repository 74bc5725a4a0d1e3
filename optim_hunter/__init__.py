"""Claims of interpretability papers as tests: define one with `Claim`, mark its measure with `claim`, run pytest."""

from optim_hunter.claim import Claim, Condition, NoValue, Protocol, Verdict, claim

__all__ = ["Claim", "Condition", "NoValue", "Protocol", "Verdict", "claim"]
