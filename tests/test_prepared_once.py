"""Images are written as tokens once, whatever is asked of them in whatever words; and a model that goes on from a run
keeps the tokens that it knows."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file
from transformers import AutoTokenizer

from llmimg import Recogniser
from llmimg.tokens.folders import cache_entries

pytestmark = pytest.mark.usefixtures("one_thread")

ONE = "trainer.max_steps=1"
SCENES = ("data=scenes", "data.train_samples=20", "data.val_samples=4", "data.test_samples=4", "textify=region_color")
WORDS = ("readout=score", "task.prompts='One of {{classes}}: {{image}}\nIt is {{answer}}.\n'", "task.shots=2")


def test_other_questions_prepare_nothing_again(run):
    kept = keys(run("head", ONE))
    assert len(kept) == 3  # a split each
    assert keys(run("words", ONE, *(each.format() for each in WORDS))) == kept


def test_other_answers_prepare_nothing_again_and_are_new_to_a_model_that_goes_on(run):
    before = run("clm", *SCENES, ONE, "task=clm", "tokens.max_length=200")
    kept, detect = keys(before), (*SCENES, ONE, "task=detect", "task.most=4")
    run("random", *detect, "task.order=random", "task.bins=16")
    after = run("on", *detect, "model=pretrained", f"model.path={before / 'model'}", "model.positions=300")
    assert keys(before) == kept
    old, new = (AutoTokenizer.from_pretrained(folder / "model") for folder in (before, after))
    assert new.convert_ids_to_tokens(range(len(old))) == old.convert_ids_to_tokens(range(len(old)))
    notes = json.loads((after / "record.json").read_text())["notes"]
    assert any(f"{len(new) - len(old)} tokens are new to" in note for note in notes)
    rows = [load_file(folder / "model" / "model.safetensors")["transformer.wte.weight"] for folder in (before, after)]
    assert len(rows[1]) == len(new)
    assert np.abs(rows[1][: len(old)] - rows[0][: len(old)]).max() < 0.01  # as far as one step goes
    answers = Recogniser.load(after).encoder.vocabulary
    assert not answers.replaced and len(answers.tokenizer) == len(new)


def keys(folder) -> set[str]:
    return {entry.key for entry in cache_entries(folder.parent / "cache")}
