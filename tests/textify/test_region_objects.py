import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer, OwlViTConfig, OwlViTForObjectDetection
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.owlvit.image_processing_pil_owlvit import OwlViTImageProcessorPil

from llmimg.errors import UserError
from llmimg.textify import Textifier, make
from llmimg.textify.region_objects import ZERO_SHOT
from llmimg.tokens.zero_shot import Classifier, Detector

LABELS = ("cat", "fire truck", "dog")
VISION = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 8}


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """A CLIP and an OWL-ViT of random weights, in folders as the hub has them."""
    root = tmp_path_factory.mktemp("zero_shot")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), ".</w>", ",</w>", "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: index for index, word in enumerate(words)}
    ends = {"bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1, "pad_token_id": len(words) - 1}
    text = {**VISION, "vocab_size": len(words), "max_position_embeddings": 77, **ends}
    text.pop("patch_size")
    torch.manual_seed(0)
    clip = CLIPModel(CLIPConfig(text_config=text, vision_config={**VISION, "image_size": 16}, projection_dim=8))
    owl = OwlViTForObjectDetection(
        OwlViTConfig(
            text_config={**text, "max_position_embeddings": 16, "pad_token_id": 0},
            vision_config={**VISION, "image_size": 32},
            projection_dim=16,
        )
    )
    crop = {"height": 16, "width": 16}
    sides = {"height": 32, "width": 32}
    for name, model, processor in [
        ("classifier", clip, CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=crop)),
        ("detector", owl, OwlViTImageProcessorPil(size=sides, crop_size=sides, do_center_crop=False)),
    ]:
        for part in (model, CLIPTokenizer(vocab=vocabulary, merges=[]), processor):
            part.save_pretrained(root / name)
    return {name: root / name for name in ("classifier", "detector")}


def knowing(models: dict[str, Path], kind: str, **chosen) -> Textifier:
    textifier = make("region_objects", kind=kind, model=str(models[kind]), labels=LABELS, **chosen)
    return textifier.with_state(textifier.learn([]))


def images(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 20, 26, channels)).astype(np.uint8)


@pytest.mark.parametrize("chosen", [{}, {"score": False}, {"grid": 2}, {"count": 2}, {"least": 1.0}])
@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_text_boxes_and_grammar_agree(models, kind, chosen):
    textifier = knowing(models, kind, **chosen)
    pieces = textifier.write(images())
    texts = textifier.texts(pieces)
    assert [textifier.grammar.parse(text).tolist() for text in texts] == [row.tolist() for row in pieces]
    assert [textifier.texts(textifier.write(image[None]))[0] for image in images()] == texts
    boxes = textifier.boxes(pieces, images())
    assert boxes.shape == (len(pieces.values), 4)
    assert (boxes[:, :2] >= 0).all() and (boxes[:, :2] < boxes[:, 2:]).all() and (boxes[:, 2:] <= [26, 20]).all()
    assert textifier.read(pieces, 20, 26) is None


def test_what_is_said(models):
    words = knowing(models, "classifier", grid=2).texts(knowing(models, "classifier", grid=2).write(images()))[0]
    assert words.count("%") == 4
    assert (
        knowing(models, "detector", least=1.0).texts(knowing(models, "detector", least=1.0).write(images()))
        == ["nothing"] * 3
    )
    found = knowing(models, "detector", count=2).texts(knowing(models, "detector", count=2, least=0.0).write(images()))
    assert all(text.count("%") == 2 for text in found)


def test_gray_is_seen_as_its_colour_copy(models):
    textifier = knowing(models, "classifier")
    gray = images(1)
    assert textifier.texts(textifier.write(gray)) == textifier.texts(textifier.write(gray.repeat(3, axis=3)))


def test_its_state_is_which_model_it_is(models, tmp_path):
    first, again = (knowing(models, "classifier").state["model"] for _ in range(2))
    assert (first == again).all()
    other = CLIPModel.from_pretrained(models["classifier"])
    with torch.no_grad():
        other.logit_scale += 1
    for file in models["classifier"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    other.save_pretrained(tmp_path)
    assert (first != knowing({"classifier": tmp_path}, "classifier").state["model"]).any()


def test_a_model_that_is_not_there(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "none"}))
    textifier = make("region_objects", model=str(tmp_path))
    with pytest.raises(UserError, match=r"which transformers cannot load for zero-shot-image-classification: give"):
        textifier.learn([])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"kind": "clasifier"}, "did you mean 'classifier'"),
        ({"labels": ()}, "textify.labels must name"),
        ({"labels": ("cat", "cat")}, "textify.labels must name each object once"),
        ({"grid": 0}, "textify.grid=0 is out of range"),
        ({"least": 2}, "textify.least=2.* is out of range"),
    ],
)
def test_what_it_cannot_be_set_to(chosen, message):
    with pytest.raises(UserError, match=message):
        make("region_objects", **chosen)


def test_the_room_above_brings_the_models(monkeypatch):
    assert {"classifier": Classifier, "detector": Detector} == ZERO_SHOT
    monkeypatch.delitem(ZERO_SHOT, "detector")
    with pytest.raises(UserError, match=r"import llmimg\.tokens\.zero_shot"):
        make("region_objects", kind="detector").learn([])
