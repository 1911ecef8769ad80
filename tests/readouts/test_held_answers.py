"""readout=generate against a plain loop that writes every answer token by token, held to the answers there are."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from llmimg.readouts.base import READOUTS
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from llmimg.textify import make
from llmimg.tokens.layout import Frame, Layout
from llmimg.tokens.sample import Example
from llmimg.tokens.vocabulary import make_vocabulary
from tests.scripting import before_answer, script_of

WORDS = ["hot", "dog", "stand", "cat", "fish", "light", "ice", "traffic", "cream", "1", "12"]
NAMES = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join), min_size=2, max_size=20, unique=True
)


def bytes_and_few_merges() -> PreTrainedTokenizerFast:
    """So few that every name is of several tokens, and many share their first ones."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=280, special_tokens=["<s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="<s>")


def whole_words() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace()
    alphabet = sorted({*"▁\nclas:", *"".join(WORDS), *"0123456789"})
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["</s>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator([f"{' '.join(WORDS)} {' '.join(map(str, range(16)))}"] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


def plain_loop(model, before: list[int], answers) -> np.ndarray:
    """log P of each answer, where every token's probability is its share among those that go on with an answer."""
    scores = np.zeros(len(answers))
    for number, answer in enumerate(answers):
        for index, token in enumerate(answer):
            may = sorted({other[index] for other in answers if other[:index] == answer[:index] and len(other) > index})
            with torch.no_grad():
                row = model(torch.tensor([[*before, *answer[:index]]])).logits[0, -1].double()
            scores[number] += float(row[token] - row[may].logsumexp(0))
    return scores


@pytest.fixture(scope="module", params=["bytes", "words"])
def parts(request):
    tokenizer = {"bytes": bytes_and_few_merges, "words": whole_words}[request.param]()
    torch.manual_seed(0)
    if request.param == "bytes":
        model = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=len(tokenizer), n_positions=200, n_embd=16, n_layer=1, n_head=2, initializer_range=0.4
            )
        )
    else:
        shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), initializer_range=0.4, **shape))
    return model.eval(), make_vocabulary("reuse", make("gray", levels=16), tokenizer)


@settings(max_examples=12)
@given(NAMES, st.sampled_from(["{image}\nclass: {answer}\n", "{image} {answer}"]))
def test_every_answer_has_the_probability_of_being_written(parts, names, template):
    model, vocabulary = parts
    task = TASKS["classify"].with_settings(DataInfo(tuple(names)), prompts=template)
    script = script_of(task, vocabulary)
    vocabulary = script.vocabulary
    readout = READOUTS["generate"](task, Layout.of(vocabulary, 200, frame=Frame()), script)
    rows = [Example(np.array(vocabulary.read(text), np.uint16), {}) for text in ("0 1 2 3", "15 7")]
    with torch.no_grad():
        found = readout.outputs(model, readout.batch(rows)).numpy()
    for row, scores in zip(rows, found, strict=True):
        before = before_answer(readout, row.image)
        np.testing.assert_allclose(scores, plain_loop(model, before, readout.choices.answers), atol=1e-4)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-5)
