"""The one-layer model as the subject of claims: the packaged one, one from a folder, or a planted one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optim_hunter.models.registry import ONE_LAYER, PACKAGED_ONE_LAYER
from optim_hunter.observe.store import Store
from optim_hunter.subjects.subject import Options
from optim_hunter.tasks.held_out import ChoiceTask, ReplacedTokenTask
from optim_hunter.tasks.network import AblatedPartTask, RuleTask

if TYPE_CHECKING:
    from optim_hunter.models.one_layer import OneLayerModel
    from optim_hunter.models.planted_network import PlantedNetwork
    from optim_hunter.observe.kept_seeds import KeptSeeds
    from optim_hunter.observe.one_layer import OneLayerChooser, PartAblater, RuleWatcher, WindowReplacer
    from optim_hunter.tasks.corpus import Corpus
    from optim_hunter.tasks.rules import RuleBook


class OneLayerSubject:
    """A one-layer model asked about held-out stories of the corpus that it was trained on."""

    def __init__(self, name: str, options: Options, store: Store | None) -> None:
        self._name, self._source, self._store = name, options.corpus, store
        self._choosers: dict[ChoiceTask, OneLayerChooser] = {}
        self._shown: dict[ChoiceTask, KeptSeeds] = {}

    def precheck(self, task: ChoiceTask, seeds: Sequence[int]) -> None:
        linear = self._chooser(task).linear
        linear.split.part(task, max(task.parts(seeds)))
        if isinstance(task, RuleTask):
            self._chooser(task).book.rule(task.rule)

    def observe(self, task: ChoiceTask, seed: int | None, query: int) -> Any:  # noqa: ARG002 - stories have no queries
        self._chooser(task)
        return self._shown[task].observe(seed)

    def close(self) -> None:
        """The model is small."""

    def describe(self, task: ChoiceTask) -> dict[str, Any]:
        fits = [chooser.linear for chooser in self._choosers.values()]
        taken = sum(fit.taken for fit in fits) + sum(shown.taken for shown in self._shown.values())
        work = {"fits": sum(fit.fits for fit in fits), "from_store": taken}
        linear = self._chooser(task).linear
        corpus = linear.corpus.described | linear.provenance()
        source = self._source_of_model(self._chooser(task).model)
        return {"source_of_model": source, "device": "cpu", "dtype": "float32", "corpus": corpus, "work": work}

    def _source_of_model(self, model: OneLayerModel) -> dict[str, str] | None:
        """Where it comes from and how it was trained."""
        from optim_hunter.models.one_layer import WEIGHTS

        recipe = model.record["question"]["recipe"]
        told = f"seed {recipe['seed']}, {recipe['epochs']:g} epochs, group weight {recipe['group_weight']:g}"
        source = "the package" if self._name == PACKAGED_ONE_LAYER else self._name
        return {"source": source, "sha256": model.record["files"][WEIGHTS], "note": told}

    def _chooser(self, task: ChoiceTask) -> OneLayerChooser:
        from optim_hunter.observe.choices import LinearChooser
        from optim_hunter.observe.kept_seeds import KeptSeeds, network_key
        from optim_hunter.observe.one_layer import OneLayerChooser
        from optim_hunter.tasks.rule_files import written

        if task not in self._choosers:
            corpus, model, book = self._made(task)
            chooser = OneLayerChooser(LinearChooser(corpus, task, self._store), model, book)
            asks_book = isinstance(task, RuleTask) or "rules" in task.views
            text = "\n".join((written(chooser.book), *chooser.book.vocabulary)) if asks_book else ""
            self._choosers[task] = chooser
            self._shown[task] = KeptSeeds(
                self._store, network_key(model, corpus, task, text), _asks(chooser, task).observe
            )
        return self._choosers[task]

    def _made(self, task: ChoiceTask) -> tuple[Corpus, OneLayerModel, Callable[[], RuleBook]]:
        """Corpus, network and rule book of a task's group."""
        from optim_hunter.models.one_layer import load_one_layer
        from optim_hunter.tasks.corpus import read_corpus
        from optim_hunter.tasks.rule_files import read_rule_book_of_group
        from optim_hunter.tasks.word_groups import name_of_group

        folder = Path(self._name.removeprefix(ONE_LAYER)).expanduser() if self._name.startswith(ONE_LAYER) else None
        model = load_one_layer(folder)
        return (
            read_corpus(self._source),
            model,
            lambda: read_rule_book_of_group(name_of_group(task.group), model.tokenizer),
        )


def _asks(chooser: OneLayerChooser, task: ChoiceTask) -> OneLayerChooser | PartAblater | WindowReplacer | RuleWatcher:
    """Who asks the network what the task is about."""
    from optim_hunter.observe.one_layer import PartAblater, RuleWatcher, WindowReplacer

    if isinstance(task, AblatedPartTask):
        return PartAblater(chooser, task)
    if isinstance(task, ReplacedTokenTask):
        return WindowReplacer(chooser, task)
    if isinstance(task, RuleTask):
        return RuleWatcher(chooser, task)
    return chooser


class PlantedNetworkSubject(OneLayerSubject):
    """A planted network and its stories, made for the group of words that a task asks for."""

    def __init__(self, name: str, store: Store | None) -> None:
        super().__init__(name, Options(), store)

    def _source_of_model(self, model: OneLayerModel) -> None:  # noqa: ARG002 - its weights are set
        return None

    def _made(self, task: ChoiceTask) -> tuple[Corpus, OneLayerModel, Callable[[], RuleBook]]:
        corpus, model = planted_network(self._name, task.group)
        return corpus, model, lambda: planted_book(self._name, model, task)


@cache
def planted_network(name: str, group: tuple[str, ...]) -> tuple[Corpus, OneLayerModel]:
    """The same stories and network for all tasks of a run."""
    network = _planted(name)
    corpus = network.corpus(name, group)
    return corpus, network.build(corpus, group)


def planted_book(name: str, model: OneLayerModel, task: ChoiceTask) -> RuleBook:
    """The book that a planted name has, with its rule under the name that a task asks for."""
    asked = task.rule if isinstance(task, RuleTask) else ""
    return _planted(name).book(asked, model.tokenizer, task.group)


def _planted(name: str) -> PlantedNetwork:
    from optim_hunter.models.planted_conjunction import CONJUNCTION_NETWORKS
    from optim_hunter.models.planted_network import NETWORKS

    return {**NETWORKS, **CONJUNCTION_NETWORKS}[name]
