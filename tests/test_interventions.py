"""Interventions against an independent instrument: TransformerLens' hooks on the whole prompt, nothing shared."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.architectures import VOUCHED, random_model
from fixtures.models import language_model
from optim_hunter import bridge
from optim_hunter.claim import UserError
from optim_hunter.observe.engine import TOKENS_AT_ONCE, Engine
from optim_hunter.observe.instruments import Capture
from optim_hunter.observe.interventions import Component, Intervention, intervene, mean, values_of, zeros

PROMPT = [3, 14, 15, 92, 65, 35, 89, 79, 32, 38, 46, 26]
OTHER = [27, 18, 28, 18, 28, 45, 90, 45, 23, 53, 60, 28]
LAYERS, HEADS = 3, 6


@pytest.fixture(scope="module")
def engine():
    module = random_model(VOUCHED["llama"])
    module.set_attn_implementation("sdpa")
    return Engine(language_model(module))


@pytest.fixture(scope="module")
def hooked(engine):
    return bridge(engine.model)


def read(engine, prompt, positions):
    look = Capture(heads=True, positions=[positions])
    return engine.read(engine.start(1), [prompt], look, ["a prompt"])


NAMES = {"attention": "blocks.{}.hook_attn_out", "mlp": "blocks.{}.hook_mlp_out", "head": "blocks.{}.attn.hook_z"}


def by_hooks(hooked, prompt, intervention):
    """The same intervention by TransformerLens."""

    def hook_for(component, value):
        def change(tensor, hook):  # noqa: ARG001 - TransformerLens hands it over by name
            changed = tensor.clone()
            for index, place in enumerate(intervention.positions):
                put = value[min(index, len(value) - 1)].expand(tensor.shape[-1]).to(tensor)
                if component.kind == "head":
                    changed[0, place, component.head] = put
                else:
                    changed[0, place] = put
            return changed

        return NAMES[component.kind].format(component.layer), change

    hooks = [hook_for(component, value) for component, value in intervention.values.items()]
    with torch.inference_mode():
        return hooked.run_with_hooks(torch.tensor([prompt]), fwd_hooks=hooks)[0, -1]


layers = st.integers(0, LAYERS - 1)
components = st.one_of(
    st.builds(Component, st.sampled_from(["attention", "mlp"]), layers),
    st.builds(Component, st.just("head"), layers, st.integers(0, HEADS - 1)),
)
positions = st.lists(st.integers(0, len(PROMPT) - 1), min_size=1, max_size=4, unique=True).map(tuple)
touched = st.lists(components, min_size=1, max_size=3, unique=True)


@settings(max_examples=20)
@given(st.lists(st.tuples(touched, positions, st.sampled_from(["zero", "patch", "mean"])), min_size=1, max_size=3))
def test_interventions_agree_with_transformer_lens(engine, hooked, wanted):
    interventions = []
    for touches, places, how in wanted:
        sources = [values_of(engine.parts, read(engine, prompt, places), 0, touches) for prompt in (OTHER, OTHER[::-1])]
        values = {"zero": zeros(touches), "patch": sources[0], "mean": mean(sources)}[how]
        interventions.append(Intervention(values, places))
    clean, changed = intervene(engine, PROMPT, interventions)
    with torch.inference_mode():
        torch.testing.assert_close(clean.logits, hooked(torch.tensor([PROMPT]))[0, -1], atol=1e-4, rtol=0)
    for intervention, seen in zip(interventions, changed, strict=True):
        torch.testing.assert_close(seen.logits, by_hooks(hooked, PROMPT, intervention), atol=1e-4, rtol=0)
        torch.testing.assert_close(seen.writes.sum(0), seen.residual, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", VOUCHED)
@pytest.mark.parametrize("kind", ["attention", "mlp", "head"])
def test_patching_all_that_is_there_changes_nothing_and_zeros_do(name, kind):
    engine = Engine(language_model(random_model(VOUCHED[name])))
    component = Component(kind, 1, 2 if kind == "head" else None)
    places = tuple(range(4, len(PROMPT)))
    own = values_of(engine.parts, read(engine, PROMPT, places), 0, [component])
    clean, (same, ablated) = intervene(
        engine, PROMPT, [Intervention(own, places), Intervention(zeros([component]), places)]
    )
    torch.testing.assert_close(same.logits, clean.logits, atol=1e-4, rtol=0)
    torch.testing.assert_close(same.writes, clean.writes, atol=1e-4, rtol=0)
    assert float((ablated.logits - clean.logits).abs().max()) > 1e-2


def test_a_patch_of_the_whole_stream_gives_the_other_prompts_answer(engine):
    """All writes of another prompt at the last token: what is read there is what the other prompt gives."""
    everything = [Component(kind, layer) for layer in range(LAYERS) for kind in ("attention", "mlp")]
    other = [*OTHER[:-1], PROMPT[-1]]  # the embedding at the last token is that of the prompt
    patch = values_of(engine.parts, read(engine, other, (-1,)), 0, everything)
    _, (patched,) = intervene(engine, PROMPT, [Intervention(patch)])
    torch.testing.assert_close(patched.logits, read(engine, other, (-1,)).logits[0], atol=1e-4, rtol=0)


def test_what_interventions_share_is_run_once(engine):
    before = engine.tokens_run, engine.forward_passes
    ablated = [Intervention(zeros([Component("mlp", layer)]), (-2, -1)) for layer in range(LAYERS)]
    intervene(engine, PROMPT, ablated)
    assert engine.forward_passes - before[1] == 3  # the prompt up to the first token touched; the rest; the rows
    assert engine.tokens_run - before[0] == len(PROMPT) + 2 * LAYERS


def test_layers_before_the_first_one_touched_are_not_run_again(engine):
    runs = []
    handle = engine.parts.mlp[0].register_forward_hook(lambda *_: runs.append(0))
    intervene(engine, PROMPT, [Intervention(zeros([Component("mlp", 2)]))])
    handle.remove()
    assert len(runs) == 2  # the prompt up to its last token, and that token as it is
    assert "forward" not in vars(engine.parts.layers[0])


def test_many_interventions_are_run_in_several_passes(engine, monkeypatch):
    ablated = [Intervention(zeros([Component("head", 1, head)]), (3, -1)) for head in range(HEADS)]
    _, together = intervene(engine, PROMPT, ablated)
    monkeypatch.setitem(TOKENS_AT_ONCE, "cpu", 2 * (len(PROMPT) - 3))
    _, apart = intervene(engine, PROMPT, ablated)
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one.logits, other.logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("component", "places", "message"),
    [
        (("mlp", 3), (-1,), "no layer 3: the model has 0 to 2"),
        (("head", 0, 6), (-1,), "no head 6: a layer of the model has 0 to 5"),
        (("mlp", 0), (12,), "no position 12: the prompt has 12 tokens"),
        (("mlp", 0), (), "an intervention touches at least one component at one position"),
    ],
)
def test_what_is_not_there_is_refused(engine, component, places, message):
    with pytest.raises(UserError, match=message):
        intervene(engine, PROMPT, [Intervention(zeros([Component(*component)]), places)])


def test_values_for_other_positions_are_refused(engine):
    component = Component("mlp", 0)
    values = values_of(engine.parts, read(engine, PROMPT, (1, 2)), 0, [component])
    with pytest.raises(UserError, match=r"2 values of .* for 3 positions: give as many"):
        intervene(engine, PROMPT, [Intervention(values, (1, 2, 3))])


def test_a_layer_that_was_not_read_is_refused(engine):
    later = engine.read(engine.start(1), [PROMPT], Capture(heads=True, first_layer=1), ["a prompt"])
    all_layers = engine.read(engine.start(1), [PROMPT], Capture(heads=True), ["a prompt"])
    for wanted in (Component("mlp", 2), Component("head", 1, 3)):
        shown = values_of(engine.parts, later, 0, [wanted])[wanted]
        torch.testing.assert_close(shown, values_of(engine.parts, all_layers, 0, [wanted])[wanted])
    with pytest.raises(UserError, match="this reading does not show layer 0"):
        values_of(engine.parts, later, 0, [Component("mlp", 0)])


def test_a_head_needs_its_number_and_a_reading_its_heads(engine):
    with pytest.raises(UserError, match="a head, and nothing else, has a number"):
        Component("head", 1)
    with pytest.raises(UserError, match="this reading shows no heads"):
        values_of(engine.parts, engine.read(engine.start(1), [PROMPT], Capture(), ["a"]), 0, [Component("head", 0, 0)])
