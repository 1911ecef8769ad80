import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from llmimg.errors import UserError
from llmimg.models.language import context_limit, make_model
from llmimg.models.scratch import ARCHITECTURES
from llmimg.readouts.head import Head, label_config
from llmimg.tokens.layout import Layout
from llmimg.tokens.vocabulary import make_vocabulary


@pytest.fixture(params=ARCHITECTURES)
def made(request, scratch, textifier, task):
    """A model, and the layout of its sequences."""
    torch.manual_seed(0)
    vocabulary = make_vocabulary("own", textifier, None)
    model = make_model(
        scratch(request.param, initializer_range=0.2), vocabulary, 40, Head.auto_class, label_config(task)
    )
    return model, Layout.of(vocabulary, 40, "error")


@torch.inference_mode()
def logits(model, layout: Layout, rows) -> np.ndarray:
    ids, mask = map(torch.from_numpy, layout.of_images(rows)[:2])
    return model.eval()(input_ids=ids, attention_mask=mask).logits.numpy()


def texts(model, layout: Layout, lengths) -> list[np.ndarray]:
    """Made-up image ids of these lengths, special tokens apart."""
    rng = np.random.default_rng(0)
    return [rng.integers(5, model.config.vocab_size, length).astype(np.uint16) for length in lengths]


def test_padding_changes_nothing(made):
    model, layout = made
    rows = texts(model, layout, [1, 38, 17, 24, 2])
    together = logits(model, layout, rows)
    alone = np.concatenate([logits(model, layout, [row]) for row in rows])
    assert together.shape == (5, 3)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.ptp(alone, axis=0).min() > 1e-3  # and the texts are told apart


def test_what_the_configuration_says(made, textifier, task):
    model, layout = made
    assert model.config.pad_token_id == layout.pad
    assert model.config.num_labels == 3
    assert model.config.id2label == {0: "cat", 1: "dog", 2: "tree"}
    assert model.config.label2id == {"cat": 0, "dog": 1, "tree": 2}
    assert model.get_input_embeddings().num_embeddings == len(set(textifier.lexicon.pieces)) + 5
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert model.config.max_position_embeddings == 40


def test_the_head_learns_with_the_rest(made):
    model, layout = made
    ids, mask = map(torch.from_numpy, layout.of_images(texts(model, layout, [9, 5]))[:2])
    model(input_ids=ids, attention_mask=mask, labels=torch.tensor([0, 2])).loss.backward()
    learning = {name: float(weight.grad.abs().sum()) for name, weight in model.named_parameters()}
    # A key's bias moves all of a token's scores alike: of all weights, it alone has nothing to learn.
    still = {name for name, size in learning.items() if size < 1e-6}
    assert all(name.endswith("key.bias") for name in still)


def test_it_is_saved_and_loaded(made, tmp_path):
    model, layout = made
    model.save_pretrained(tmp_path)
    rows = texts(model, layout, [12, 30])
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert (logits(again, layout, rows) == logits(model, layout, rows)).all()
    assert again.config.id2label == model.config.id2label


def test_dtype_and_shape_can_be_chosen(scratch, textifier, task):
    vocabulary = make_vocabulary("own", textifier, None)
    settings = scratch("gpt2", layers=3, dtype="bfloat16")
    model = make_model(settings, vocabulary, 40, Head.auto_class, label_config(task))
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert len(model.transformer.h) == 3 and model.config.hidden_size == 16


def test_dropout_reaches_the_model(scratch, textifier, task):
    vocabulary = make_vocabulary("own", textifier, None)
    for architecture in ARCHITECTURES:
        settings = scratch(architecture, dropout=0.25)
        model = make_model(settings, vocabulary, 40, Head.auto_class, label_config(task))
        layout = Layout.of(vocabulary, 40, "error")
        ids, mask = map(torch.from_numpy, layout.of_images(texts(model, layout, [20]))[:2])
        model.train()
        assert not torch.equal(*(model(input_ids=ids, attention_mask=mask).logits for _ in range(2))), architecture


def test_from_scratch_the_data_set_the_context(scratch):
    assert all(context_limit(scratch(architecture)) is None for architecture in ARCHITECTURES)


def test_an_unknown_architecture_is_answered_with_the_nearest(scratch, textifier, task):
    with pytest.raises(UserError, match=r"model architecture 'gpt3': did you mean 'gpt2'"):
        make_model(scratch("gpt3"), make_vocabulary("own", textifier, None), 40, Head.auto_class, label_config(task))
