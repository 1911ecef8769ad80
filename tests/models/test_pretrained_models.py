"""Pretrained models: a small one of ours in a folder, and real ones where they are installed."""

import copy
import json

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    PreTrainedTokenizerFast,
)

from llmimg.errors import UserError
from llmimg.models.language import context_limit, make_model
from llmimg.models.settings import ModelSettings
from llmimg.readouts.head import Head, label_config
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from llmimg.textify import make
from llmimg.tokens.layout import Layout
from llmimg.tokens.vocabulary import load_tokenizer, make_vocabulary


@torch.inference_mode()
def logits(model, layout: Layout, rows) -> np.ndarray:
    ids, mask = map(torch.from_numpy, layout.of_images(rows)[:2])
    return model.eval()(input_ids=ids, attention_mask=mask).logits.numpy()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, scratch):
    """A tiny pretrained BERT with the tokenizer of another textifier, in Hugging Face's layout."""
    path = tmp_path_factory.mktemp("pretrained")
    vocabulary = make_vocabulary("own", make("region_color", grid=2), None)
    head = label_config(TASKS["classify"].with_settings(DataInfo(("cat", "dog", "tree"))))
    torch.manual_seed(0)
    make_model(scratch("bert"), vocabulary, 40, Head.auto_class, head).save_pretrained(path)
    vocabulary.tokenizer.save_pretrained(path)
    return path


def reads_alike(model, vocabulary, textifier, tolerance: float) -> None:
    """Texts of different lengths get the same logits in a padded batch as alone."""
    rng = np.random.default_rng(0)
    ids = vocabulary.lookup(textifier.write(rng.integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)))
    rows = [row[: len(row) - 7 * index] for index, row in enumerate(ids)]
    layout = Layout.of(vocabulary, 512, "error")
    together = logits(model, layout, rows)
    alone = np.concatenate([logits(model, layout, [row]) for row in rows])
    np.testing.assert_allclose(together, alone, atol=tolerance)
    assert np.ptp(alone, axis=0).max() > 10 * tolerance


def described(model, vocabulary, task) -> None:
    assert model.config.get_text_config().pad_token_id == vocabulary.tokenizer.pad_token_id is not None
    assert model.config.id2label == dict(enumerate(task.classes))
    assert model.config.num_labels == len(task.classes)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert model.get_input_embeddings().num_embeddings >= len(vocabulary.tokenizer)


def begin_as_means(model, vocabulary) -> None:
    weight = model.get_input_embeddings().weight.detach()
    for added, replaced in vocabulary.replaced.items():
        torch.testing.assert_close(weight[added], weight[list(replaced)].mean(dim=0), atol=1e-6, rtol=0)


@pytest.mark.slow
def test_smollm2(smollm2_file, smollm2, pretrained, textifier, task):
    settings = pretrained(smollm2_file)
    assert context_limit(settings) == 8192
    vocabulary = make_vocabulary("extend", textifier, copy.deepcopy(smollm2))
    model = make_model(settings, vocabulary, 512, Head.auto_class, label_config(task))
    described(model, vocabulary, task)
    assert len(vocabulary.replaced) > 200
    begin_as_means(model, vocabulary)
    reads_alike(model, vocabulary, textifier, 1e-3)


def test_minilm(minilm_folder, minilm, pretrained, textifier, task):
    settings = pretrained(minilm_folder)
    assert context_limit(settings) == 512
    vocabulary = make_vocabulary("reuse", textifier, minilm)
    torch.manual_seed(0)
    model = make_model(settings, vocabulary, 512, Head.auto_class, label_config(task))
    described(model, vocabulary, task)
    reads_alike(model, vocabulary, textifier, 1e-3)


def test_an_own_vocabulary_on_a_pretrained_model_has_fresh_embeddings_and_keeps_the_rest(
    minilm_folder, pretrained, textifier, task
):
    vocabulary = make_vocabulary("own", textifier, None)
    settings = pretrained(minilm_folder)
    model = make_model(settings, vocabulary, 512, Head.auto_class, label_config(task))
    described(model, vocabulary, task)
    embeddings = model.get_input_embeddings().weight
    assert len(embeddings) == model.config.vocab_size == len(vocabulary.tokenizer)
    before = Head.auto_class.from_pretrained(minilm_folder)
    old = before.get_input_embeddings().weight
    assert not (embeddings[:, None, :8] == old[None, : len(embeddings), :8]).all(dim=2).any()
    assert float(embeddings.detach().std()) == pytest.approx(float(old.detach().std()), rel=0.05)
    layer = "bert.encoder.layer.0.attention.self.query.weight"
    assert torch.equal(model.get_parameter(layer), before.get_parameter(layer))


def test_added_pieces_begin_as_the_mean_of_what_they_replace(minilm_folder, minilm, pretrained, textifier, task):
    before = make_model(
        pretrained(minilm_folder), make_vocabulary("reuse", textifier, minilm), 512, Head.auto_class, label_config(task)
    )
    old = before.get_input_embeddings().weight.detach()
    vocabulary = make_vocabulary("extend", textifier, copy.deepcopy(minilm))
    model = make_model(pretrained(minilm_folder), vocabulary, 512, Head.auto_class, label_config(task))
    described(model, vocabulary, task)
    begin_as_means(model, vocabulary)
    new = model.get_input_embeddings().weight
    assert len(new) == len(vocabulary.tokenizer) > len(old)
    assert torch.equal(new[: len(old)], old)


@pytest.mark.parametrize("architecture", ["llama", "bert", "gpt2"])
def test_what_writes_tokens_has_rows_for_new_ones_too(architecture, scratch, pretrained, textifier, tmp_path):
    """Tied to the embeddings or not: means of the rows of what a piece stands for, or rows of its own."""
    auto_class = AutoModelForMaskedLM if architecture == "bert" else AutoModelForCausalLM
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    backend.train_from_iterator([], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="!")
    before = make_model(scratch(architecture), make_vocabulary("reuse", textifier, tokenizer), 90, auto_class, {})
    with torch.no_grad():
        if before.get_output_embeddings().bias is not None:
            before.get_output_embeddings().bias.normal_()
    before.save_pretrained(tmp_path)

    vocabulary = make_vocabulary("extend", textifier, copy.deepcopy(tokenizer))
    model = make_model(pretrained(tmp_path), vocabulary, 90, auto_class, {})
    old, new = before.get_output_embeddings(), model.get_output_embeddings()
    assert len(vocabulary.replaced) > 200
    for added, replaced in list(vocabulary.replaced.items())[::40]:
        torch.testing.assert_close(new.weight[added], old.weight[list(replaced)].mean(dim=0))
        if old.bias is not None:
            torch.testing.assert_close(new.bias[added], old.bias[list(replaced)].mean(dim=0))
    tied = old.weight is before.get_input_embeddings().weight
    assert (new.weight is model.get_input_embeddings().weight) == tied == (architecture != "llama")

    own = make_model(pretrained(tmp_path), make_vocabulary("own", textifier, None), 90, auto_class, {})
    rows = own.get_output_embeddings()
    assert not (rows.weight[:, None, :4] == old.weight[None, : len(rows.weight), :4]).all(dim=2).any()
    assert rows.bias is None or not rows.bias.any()


def test_a_folder_in_hugging_face_s_layout(folder, pretrained, textifier, task):
    vocabulary = make_vocabulary("reuse", textifier, load_tokenizer(str(folder)))
    model = make_model(pretrained(folder), vocabulary, 40, Head.auto_class, label_config(task))
    described(model, vocabulary, task)
    assert context_limit(pretrained(folder)) == 40
    saved = Head.auto_class.from_pretrained(folder)
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), saved.parameters(), strict=True))


def test_a_folder_without_weights(gpt2_folder, gpt2, pretrained, textifier, task):
    vocabulary = make_vocabulary("reuse", textifier, gpt2)
    with pytest.raises(UserError, match=r"holds no model .* that transformers can read: give model\.path="):
        make_model(pretrained(gpt2_folder), vocabulary, 512, Head.auto_class, label_config(task))


def test_a_folder_with_a_configuration_and_no_weights(tmp_path, folder, pretrained, textifier, task):
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    vocabulary = make_vocabulary("own", textifier, None)
    with pytest.raises(UserError, match=r"holds no model weights that transformers can read"):
        make_model(pretrained(tmp_path), vocabulary, 40, Head.auto_class, label_config(task))


def test_a_folder_with_half_of_its_weights(tmp_path, folder, pretrained, textifier, task):
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    vocabulary = make_vocabulary("own", textifier, None)
    with pytest.raises(UserError, match=r"holds no model weights that transformers can read"):
        make_model(pretrained(tmp_path), vocabulary, 40, Head.auto_class, label_config(task))


def test_a_model_that_is_not_here_and_no_network(pretrained, textifier, task):
    vocabulary = make_vocabulary("own", textifier, None)
    for call in (
        lambda: context_limit(pretrained("nobody/nothing")),
        lambda: make_model(pretrained("nobody/nothing"), vocabulary, 40, Head.auto_class, label_config(task)),
    ):
        with pytest.raises(UserError, match=r"'nobody/nothing' is no local folder.*model\.path=.*model=gpt2_tiny"):
            call()


def test_a_model_of_an_unknown_kind(tmp_path, pretrained):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "of_tomorrow"}))
    with pytest.raises(UserError, match="holds no model configuration that transformers can read"):
        context_limit(pretrained(tmp_path))


def test_a_model_without_such_a_head(scratch, textifier, task):
    vocabulary = make_vocabulary("own", textifier, None)
    with pytest.raises(UserError, match=r"no ImageClassification head .*choose another model or readout"):
        make_model(scratch("gpt2"), vocabulary, 40, AutoModelForImageClassification, label_config(task))


def test_a_pretrained_model_needs_a_path():
    with pytest.raises(UserError, match=r"pretrained and has no path: give model\.path="):
        ModelSettings(name="mine")


def test_a_path_is_not_passed_over():
    with pytest.raises(UserError, match=r"model\.path=somewhere would be passed over: .* Take model=pretrained"):
        ModelSettings(name="gpt2_tiny", architecture="gpt2", path="somewhere")


def test_untrained_baselines_have_the_shape_and_nothing_of_what_was_learned(folder, textifier, task):
    vocabulary = make_vocabulary("own", textifier, None)

    def weights(init: str) -> dict[str, torch.Tensor]:
        torch.manual_seed(1)
        settings = ModelSettings("untrained", path=str(folder), init=init)
        return make_model(settings, vocabulary, 40, Head.auto_class, label_config(task)).state_dict()

    known, random, shuffled = (weights(init) for init in ("pretrained", "random", "shuffled"))
    assert known.keys() == random.keys() == shuffled.keys()
    mixing = [name for name in known if "attention" in name and name.endswith("query.weight")]
    assert mixing
    for name in mixing:
        assert not torch.equal(known[name], random[name]) and not torch.equal(known[name], shuffled[name])
        assert torch.equal(known[name].flatten().sort().values, shuffled[name].flatten().sort().values)


def test_an_untrained_baseline_needs_something_pretrained():
    with pytest.raises(UserError, match=r"model\.init=random is a baseline for pretrained models"):
        ModelSettings("gpt2_tiny", architecture="gpt2", init="random")


def test_tokens_that_the_weights_have_no_rows_for_are_said(scratch, pretrained, textifier, tmp_path):
    """… but for padding, which is never read."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    backend.train_from_iterator([], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)  # neither end nor padding
    small = make_vocabulary("reuse", textifier, copy.deepcopy(tokenizer))
    before = make_model(scratch("gpt2"), small, 90, AutoModelForCausalLM, {})
    before.resize_token_embeddings(len(tokenizer))
    before.save_pretrained(tmp_path)
    for more, said in (([], False), (["<more>"], True)):
        larger = copy.deepcopy(tokenizer)
        larger.add_tokens(more)
        vocabulary, notes = make_vocabulary("reuse", textifier, larger), []
        model = make_model(pretrained(tmp_path), vocabulary, 90, AutoModelForCausalLM, {}, notes=notes)
        assert model.get_input_embeddings().num_embeddings >= len(vocabulary.tokenizer) > len(tokenizer)
        assert any("tokens" in note for note in notes) == said, notes
