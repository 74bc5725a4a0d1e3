"""Tokenizers of several kinds over a few planted stories, and small models that read with them."""

import hashlib

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from fixtures.architectures import VOUCHED, random_model
from optim_hunter.models.language import LanguageModel
from optim_hunter.models.sources import Provenance
from optim_hunter.tasks.held_out import ChoiceTask
from optim_hunter.tasks.planted_stories import PLANTED, planted_corpus

GROUP = (" and", " but", " so")


CORPUS = planted_corpus(next(iter(PLANTED)))


TRAINED_ON = (
    *CORPUS.stories[:300],
    "Tom and Sue “ran” but fell, so they cried — and laughed.\n 🙂 é " * 20,
)


BOS = "<s>"


LLAMA = VOUCHED["llama"]


def byte_level(bos):
    """Like GPT-2's: a space belongs to the word behind it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return trained(tokenizer, bos, pre_tokenizers.ByteLevel.alphabet())


def sentencepiece_like():
    """Like Llama 2's: a space is put before every text."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    return trained(tokenizer, BOS, [])


def trained(tokenizer, bos, alphabet):
    special = ["<unk>", BOS]
    trainer = trainers.BpeTrainer(
        vocab_size=350, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TRAINED_ON, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, unk_token="<unk>")


TOKENIZERS = {"bytes": byte_level(None), "bytes, BOS": byte_level(BOS), "sentencepiece": sentencepiece_like()}


def model_of(tokenizer, architecture=LLAMA, context=256):
    module = random_model(architecture, tokens=len(tokenizer))
    provenance = Provenance("seeded random weights", None, "a" * 64, "none")
    fingerprint = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
    return LanguageModel(
        "tiny", lambda: tokenizer, provenance, "cpu", "float32", lambda: context, fingerprint, lambda: module
    )


MODELS = {name: model_of(tokenizer) for name, tokenizer in TOKENIZERS.items()}


# as claims see it

TASK = ChoiceTask(group=GROUP[:2], views=("window", "story"), stories_per_seed=2, minimum_windows=10)
