"""A head's outputs stand for classes by name: in the data's order, or not at all."""

import copy

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from llmimg.errors import UserError
from llmimg.models.adaptation import adapted
from llmimg.models.language import make_model
from llmimg.models.settings import AdaptationSettings, ModelSettings
from llmimg.readouts.head import label_config
from llmimg.recogniser import Recogniser
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from llmimg.tokens.vocabulary import load_tokenizer, make_vocabulary

NAMES = ["cat", "dog", "tree"]
IDS = torch.tensor([[5, 6, 7, 8]])
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
OF_OTHERS = {"roberta": {}, "bart": {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1}}


@pytest.fixture(params=["gpt2", "bert", *OF_OTHERS])
def folder(request, tmp_path, textifier, scratch):
    """A model with a head for three classes: of ours, with a head of two layers, with encoder and decoder."""
    vocabulary = make_vocabulary("own", textifier, None)
    head = label_config(TASKS["classify"].with_settings(DataInfo(tuple(NAMES))))
    torch.manual_seed(0)
    if request.param in OF_OTHERS:
        size = {"vocab_size": len(vocabulary.tokenizer), "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
        shape = {} if request.param != "roberta" else SMALL
        config = AutoConfig.for_model(request.param, **size, **shape, **OF_OTHERS[request.param])
        config.update(head)
        model = AutoModelForSequenceClassification.from_config(config)
    else:
        model = make_model(scratch(request.param), vocabulary, 40, AutoModelForSequenceClassification, head)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_()
    model.save_pretrained(tmp_path)
    vocabulary.tokenizer.save_pretrained(tmp_path)
    return tmp_path


def loaded(folder, textifier, names, **how):
    notes: list[str] = []
    vocabulary = make_vocabulary("reuse", textifier, load_tokenizer(str(folder)))
    settings = ModelSettings("pretrained", path=str(folder))
    head = label_config(TASKS["classify"].with_settings(DataInfo(tuple(names))))
    model = make_model(settings, vocabulary, 40, AutoModelForSequenceClassification, head, notes=notes, **how)
    return model.eval(), notes


@torch.no_grad()
def logits(model) -> np.ndarray:
    ids = IDS if model.config.model_type != "bart" else torch.tensor([[5, 6, 7, 3]])
    return model(input_ids=ids).logits[0].numpy()


@pytest.mark.parametrize("learns", [True, False])
def test_the_same_classes_in_another_order_are_put_in_the_datas(folder, textifier, learns):
    before = dict(zip(NAMES, logits(loaded(folder, textifier, NAMES)[0]), strict=True))
    other = ["tree", "cat", "dog"]
    model, notes = loaded(folder, textifier, other, learns=learns)
    np.testing.assert_allclose(logits(model), [before[name] for name in other], atol=1e-6)
    assert [model.config.id2label[index] for index in range(3)] == other
    assert any("lists the classes in another order" in note for note in notes)


@pytest.mark.parametrize("names", [["cat", "dog"], ["cat", "dog", "bush"], ["cat", "dog", "tree", "bush"]])
def test_other_classes_are_refused_with_both_lists_or_get_a_new_head(folder, textifier, names):
    with pytest.raises(UserError) as refused:
        loaded(folder, textifier, names, learns=False)
    assert "[cat, dog, tree]" in str(refused.value) and f"[{', '.join(names)}]" in str(refused.value)
    model, notes = loaded(folder, textifier, names)
    assert model.config.num_labels == len(names) == len(logits(model))
    assert any("The head is new" in note and "[cat, dog, tree]" in note for note in notes)
    if len(names) == 3:  # nothing of the old outputs is left
        assert not np.isclose(logits(model), logits(loaded(folder, textifier, NAMES)[0]), atol=1e-3).any()


def test_outputs_without_names_are_taken_in_order_and_it_is_said(folder, textifier):
    before = logits(loaded(folder, textifier, NAMES)[0])
    config = AutoConfig.from_pretrained(folder)
    config.id2label = {index: f"LABEL_{index}" for index in range(3)}
    config.save_pretrained(folder)
    model, notes = loaded(folder, textifier, ["a", "b", "c"], learns=False)
    np.testing.assert_allclose(logits(model), before, atol=1e-6)
    assert any("does not name its classes" in note and "[a, b, c]" in note for note in notes)
    with pytest.raises(UserError, match=r"classes without names, and the data have \[a, b\]"):
        loaded(folder, textifier, ["a", "b"], learns=False)


def test_a_head_that_nothing_trains_is_said(tmp_path, textifier, scratch):
    vocabulary = make_vocabulary("own", textifier, None)
    body = make_model(scratch("bert"), vocabulary, 40, AutoModelForSequenceClassification, {}).base_model
    body.save_pretrained(tmp_path)
    vocabulary.tokenizer.save_pretrained(tmp_path)
    assert not loaded(tmp_path, textifier, NAMES)[1]
    model, notes = loaded(tmp_path, textifier, NAMES, learns=False)
    assert model.config.num_labels == 3
    assert [note for note in notes if "drawn at random and nothing trains it" in note]


def test_adapters_keep_their_classes_by_name(tmp_path, textifier, scratch):
    own = make_vocabulary("own", textifier, None)
    torch.manual_seed(0)
    base = make_model(scratch("gpt2"), own, 40, AutoModelForSequenceClassification, {"num_labels": 2})
    base.save_pretrained(tmp_path / "base")
    settings = ModelSettings("pretrained", path=str(tmp_path / "base"))
    head = label_config(TASKS["classify"].with_settings(DataInfo(tuple(NAMES))))
    vocabulary = make_vocabulary("reuse", textifier, copy.deepcopy(own.tokenizer))
    how = AdaptationSettings("lora", save="adapters")
    model = adapted(make_model(settings, vocabulary, 40, AutoModelForSequenceClassification, head), how)
    model.save_pretrained(tmp_path / "adapters")
    model.config.save_pretrained(tmp_path / "adapters")
    own.tokenizer.save_pretrained(tmp_path / "adapters")
    before = dict(zip(NAMES, logits(model.eval()), strict=True))
    again, _ = loaded(tmp_path / "adapters", textifier, ["dog", "tree", "cat"], learns=False)
    np.testing.assert_allclose(logits(again), [before[name] for name in ("dog", "tree", "cat")], atol=1e-5)
    for names in (["cat", "dog"], ["cat", "dog", "bush"]):
        with pytest.raises(UserError, match=r"\[cat, dog, tree\]"):
            loaded(tmp_path / "adapters", textifier, names, learns=False)
        assert len(logits(loaded(tmp_path / "adapters", textifier, names)[0])) == len(names)


@pytest.mark.usefixtures("one_thread")
def test_a_run_asked_of_data_that_list_the_classes_otherwise(run, tmp_path):
    """From outside: the same images, their classes listed the other way round, give the same numbers."""
    import io
    import json

    import datasets
    from PIL import Image

    rng = np.random.default_rng(0)
    for source in ("one", "other"):
        names = ["dark", "light"] if source == "one" else ["light", "dark"]
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
        for split in ("train", "test"):
            rows = {"image": [], "label": []}
            rng = np.random.default_rng(split == "test")
            for row in range(40):
                file = io.BytesIO()
                value = 40 if row % 2 else 200
                Image.fromarray(rng.normal(value, 12, (6, 6)).clip(0, 255).astype(np.uint8)).save(file, "PNG")
                rows["image"].append({"bytes": file.getvalue(), "path": None})
                rows["label"].append(names.index("dark" if row % 2 else "light"))
            (tmp_path / source / "data").mkdir(parents=True, exist_ok=True)
            datasets.Dataset.from_dict(rows, features=features).to_parquet(
                tmp_path / source / "data" / f"{split}-00000-of-00001.parquet"
            )
    few = ("data=hub", "data.train_samples=null", "data.val_samples=null", "data.test_samples=null", "augment=none")
    learn = ("trainer.max_steps=30", "trainer.learning_rate=0.01", "trainer.save_strategy=no")
    made = run("by-name", *few, *learn, f"data.path={tmp_path / 'one'}", "textify=gray")
    again = run(
        "by-name-again",
        *few,
        f"data.path={tmp_path / 'other'}",
        "textify=gray",
        "model=pretrained",
        f"model.path={made}",
        "trainer.do_train=false",
    )
    first, second = (json.loads((each / "metrics.json").read_text()) for each in (made, again))
    assert first["test/accuracy"] == second["test/accuracy"] > 0.9
    assert first["test/loss"] == pytest.approx(second["test/loss"], abs=1e-5)
    (answer,) = Recogniser.load(again)(np.full((1, 6, 6, 1), 200, np.uint8))
    assert list(answer["probabilities"]) == ["light", "dark"] and answer["label"] == "light"
