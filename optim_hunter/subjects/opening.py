"""From a registry name to the subject that claims are run on."""

from __future__ import annotations

from collections.abc import Mapping

import optim_hunter.models.registry as registry
from optim_hunter.observe.plan import Plan, asks, without
from optim_hunter.observe.store import Store
from optim_hunter.subjects.language import LanguageSubject
from optim_hunter.subjects.linear import LinearSubject
from optim_hunter.subjects.one_layer import OneLayerSubject, PlantedNetworkSubject
from optim_hunter.subjects.permuted import WithPermuted, with_permuted
from optim_hunter.subjects.planted_choices import PlantedChoicesSubject
from optim_hunter.subjects.planted_commas import PlantedCommasSubject
from optim_hunter.subjects.recorded import RecordedSubject
from optim_hunter.subjects.regressor import RegressorSubject, WithRegressors
from optim_hunter.subjects.rule_book import RuleBookSubject
from optim_hunter.subjects.subject import Options, Subject
from optim_hunter.subjects.synthetic import SyntheticSubject
from optim_hunter.tasks.planted_choices import RULES
from optim_hunter.tasks.planted_commas import COMMAS


def open_subject(name: str, options: Options, plans: Mapping[str, Plan], store: Store | None) -> Subject:
    """Open what a registry name stands for.

    Raises:
        UserError: it cannot be opened; the message says what to do.
    """
    if asks("regressors", plans):
        return WithRegressors(open_subject(name, options, without("regressors", plans), store), plans, store)
    if asks("permuted", plans):
        return WithPermuted(open_subject(name, options, with_permuted(plans), store), plans)
    kind = registry.kind(name)
    if kind == "regressor":
        return RegressorSubject(name, plans, store)
    if kind == "recorded":
        return RecordedSubject(name)
    if kind == "synthetic":
        return SyntheticSubject(name)
    if name in RULES:
        return PlantedChoicesSubject(name, store)
    if name in COMMAS:
        return PlantedCommasSubject(name, store)
    if kind == "one-layer":
        return (
            PlantedNetworkSubject(name, store) if name.startswith("planted:") else OneLayerSubject(name, options, store)
        )
    if kind == "rule-book":
        return RuleBookSubject(name, options, store)
    if kind == "linear":
        return LinearSubject(name, options, store)
    return LanguageSubject(name, options, plans, store)
