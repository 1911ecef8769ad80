"""Where a model from scratch begins, if it begins as what its tokens look like."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from llmimg.carry_out import carry_out
from llmimg.errors import UserError
from llmimg.models.language import make_model
from llmimg.models.looks import Looks, grid_positions, looks_of
from llmimg.models.settings import ModelSettings
from llmimg.tasks.detect import Detect, DetectSettings
from llmimg.tasks.info import DataInfo
from llmimg.textify import Ragged, make
from llmimg.textify.order import reading_order
from llmimg.tokens.bpe import learn_tokenizer
from llmimg.tokens.lookup import one_token_pieces
from llmimg.tokens.vocabulary import load_tokenizer, make_vocabulary

SPREAD = 0.1
GRAY = make("gray")
BOXES = GRAY.boxes(GRAY.write(np.zeros((1, 4, 6, 1), np.uint8)), np.zeros((1, 4, 6, 1), np.uint8))


def made(architecture: str, looks: Looks | None, seed: int = 0):
    vocabulary = make_vocabulary("own", GRAY, None)
    torch.manual_seed(seed)
    kind = AutoModelForMaskedLM if "bert" in architecture else AutoModelForCausalLM
    settings = ModelSettings("tiny", architecture=architecture, width=64, initializer_range=SPREAD)
    model = make_model(settings, vocabulary, 40, kind, {}, notes=(notes := []), looks=looks)
    return model, vocabulary, notes


@pytest.fixture
def looks() -> Looks:
    tokens = looks_of(make_vocabulary("own", GRAY, None).lookup, GRAY.appearance())
    return Looks([tokens], grid_positions(BOXES), 1)


def rows_of(model, vocabulary) -> np.ndarray:
    tokens = vocabulary.tokenizer.convert_tokens_to_ids([f" {level}" for level in range(16)])
    return model.get_input_embeddings().weight.detach().float().numpy()[tokens]


def likeness(rows: np.ndarray) -> np.ndarray:
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


@pytest.mark.parametrize("architecture", ["gpt2", "bert", "modernbert", "llama"])
def test_tokens_that_look_alike_begin_alike(looks, architecture):
    model, vocabulary, notes = made(architecture, looks)
    alike = likeness(rows_of(model, vocabulary))
    assert np.diagonal(alike, 1).mean() > 0.7 > 0.1 > np.diagonal(alike, 6).mean()
    assert rows_of(model, vocabulary).std() == pytest.approx(SPREAD, rel=0.15)
    first = model.get_input_embeddings().weight[vocabulary.tokenizer.convert_tokens_to_ids("7")].detach().numpy()
    assert likeness(np.stack([first, rows_of(model, vocabulary)[7]]))[0, 1] > 0.8
    assert len(notes) == 1 and "those of 32 tokens" in notes[0]
    assert ("rotary" in notes[0]) == (architecture in ("modernbert", "llama"))


@pytest.mark.parametrize("architecture", ["gpt2", "bert"])
def test_positions_begin_as_row_and_column(looks, architecture):
    table = {
        each: dict(made(architecture, given)[0].named_parameters())
        for each, given in (("begun", looks), ("random", None))
    }
    name = next(name for name in table["begun"] if "wpe" in name or "position_embeddings" in name)
    begun, random = table["begun"][name].detach(), table["random"][name].detach()
    grid = begun[1:25].reshape(4, 6, -1)
    torch.testing.assert_close(grid[0, 0] + grid[3, 4], grid[0, 4] + grid[3, 0], atol=1e-6, rtol=0)
    assert not torch.allclose(grid[0, 0], grid[0, 1]) and not torch.allclose(grid[0, 0], grid[1, 0])
    assert float(grid.std()) == pytest.approx(SPREAD, rel=0.3)
    outside = torch.tensor([0, *range(25, 40)])  # the framing, and what comes behind the image
    assert torch.equal(begun[outside], random[outside])


@pytest.mark.parametrize("order", ["raster", "snake", "hilbert"])
def test_places_go_by_boxes_in_whatever_order(order):
    textifier = make("rgb", order=order)
    images = np.zeros((1, 4, 4, 3), np.uint8)
    positions = grid_positions(textifier.boxes(textifier.write(images), images))
    assert positions[::3, :2].tolist() == np.stack(np.divmod(reading_order(order, 4, 4), 4), axis=1).tolist()
    assert positions[:, 2].tolist() == [0, 1, 2] * 16  # red, green, blue


def test_what_writes_tokens_begins_so_only_where_it_is_tied(looks):
    tied, _, _ = made("gpt2", looks)
    assert tied.get_output_embeddings().weight is tied.get_input_embeddings().weight
    untied, _, _ = made("llama", looks)
    random, _, _ = made("llama", None)
    assert not torch.equal(untied.get_input_embeddings().weight, random.get_input_embeddings().weight)
    assert torch.equal(untied.get_output_embeddings().weight, random.get_output_embeddings().weight)


def test_equal_seeds_begin_equal_and_nothing_else_of_the_model_changes(looks):
    one, again, other = (made("gpt2", looks, seed)[0].state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["transformer.wte.weight"], other["transformer.wte.weight"])
    random = made("gpt2", None, 3)[0].state_dict()
    differing = {name for name in one if not torch.equal(one[name], random[name])}
    assert differing == {"transformer.wte.weight", "transformer.wpe.weight", "lm_head.weight"}


def test_tokens_that_look_like_nothing_are_left_as_they_were_drawn(scratch):
    textifier = make("gray", row_marks=True)
    vocabulary = make_vocabulary("own", textifier, None)
    looks = Looks([looks_of(vocabulary.lookup, textifier.appearance())])
    models = []
    for given in (looks, None):
        torch.manual_seed(0)
        models.append(make_model(scratch("gpt2"), vocabulary, 40, AutoModelForCausalLM, {}, notes=[], looks=given))
    begun, random = (model.get_input_embeddings().weight for model in models)
    left = torch.tensor(vocabulary.tokenizer.convert_tokens_to_ids(["\n", "<pad>", "<eos>"]))
    assert torch.equal(begun[left], random[left])
    assert (begun != random).any(dim=1).sum() == 32


def test_places_in_answers_begin_alike_where_they_are_near():
    task = Detect(DetectSettings(bins=16)).bind(DataInfo(classes={"objects": ("cat", "dog")}), GRAY)
    vocabulary = make_vocabulary("own", GRAY, None, task.grammar)
    looks = Looks([looks_of(vocabulary.lookup, GRAY.appearance()), looks_of(vocabulary.answers, task.appearance())])
    settings = ModelSettings("tiny", architecture="gpt2", width=64, initializer_range=SPREAD)
    torch.manual_seed(0)
    model = make_model(settings, vocabulary, 40, AutoModelForCausalLM, {}, notes=(notes := []), looks=looks)
    rows = model.get_input_embeddings().weight.detach().numpy()
    for axis in "yx":
        alike = likeness(
            rows[[int(vocabulary.tokenizer.convert_tokens_to_ids(f" {axis}{number}")) for number in range(17)]]
        )
        assert np.diagonal(alike, 1).mean() > 0.7 > 0.1 > np.diagonal(alike, 6).mean()
    assert f"those of {32 + 2 * 17} tokens; positions begin at random" in notes[0]


@pytest.mark.parametrize("name", ["own", "learn", "reuse"])
def test_pieces_of_one_token_are_that_token(name, small_tokenizer):
    textifier = make("gray", levels=100)
    tokenizer = {
        "own": lambda: None,
        "learn": lambda: learn_tokenizer(textifier, Ragged.from_rows([np.array([5, *[107, 108] * 9])], np.uint16), 220),
        "reuse": lambda: load_tokenizer(str(small_tokenizer)),
    }[name]()
    vocabulary = make_vocabulary(name, textifier, tokenizer)
    pieces, tokens = one_token_pieces(vocabulary.lookup, len(textifier.lexicon))
    assert len(np.unique(pieces)) == 200 if name != "reuse" else 0 < len(np.unique(pieces)) < 200
    for piece, token in zip(pieces.tolist(), tokens.tolist(), strict=True):
        alone = np.array([piece], textifier.lexicon.dtype)
        assert vocabulary.lookup(Ragged.from_rows([alone], alone.dtype)).values.tolist() == [token]


# Whole runs.


def notes_of(run) -> list[str]:
    return json.loads((run / "record.json").read_text())["notes"]


def test_a_run_says_how_it_began(run):
    told = [note for note in notes_of(run("begun", "model.embeddings=appearance")) if "model.embeddings" in note]
    assert told == [
        "Embeddings begin as what their pieces look like, those of 32 tokens, and positions as row and column of the "
        "image's 64 tokens (model.embeddings)."
    ]


def test_where_tokens_stand_elsewhere_in_each_image_positions_begin_at_random(run):
    told = notes_of(run("runs", "model.embeddings=appearance", "textify.longest_run=4", "task=clm"))
    assert [note for note in told if "elsewhere in each image" in note]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model=vit_tiny",), "model.embeddings=appearance is for language models from scratch, and 'vit_tiny' is no"),
        (("model=gpt2",), "'gpt2' is none"),
        (
            ("textify=region_words", "textify.color=false", "textify.brightness=false"),
            "model.embeddings=appearance needs pieces that look like something, and those of textify=region_words do",
        ),
    ],
)
def test_what_has_no_look_is_refused_before_training(composed, overrides, message):
    with pytest.raises(UserError, match=message):
        carry_out(composed("refused", "model.embeddings=appearance", *overrides))
    with pytest.raises(UserError, match=r"model\.embeddings .?looks"):
        carry_out(composed("refused", "model.embeddings=looks"))
