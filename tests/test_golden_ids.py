"""Token ids as models have always been given them: prompts, layouts and vocabularies may be written anew, and what a
model reads stays the same to the last id, as does what it learns of it (the loss of its first step)."""

import functools
import hashlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from llmimg.carry_out import carry_out
from tests.serving import serving

pytestmark = pytest.mark.usefixtures("one_thread")

# What was found is left in golden_ids.json of pytest's folder (--basetemp=FOLDER): a value that is meant to change
# is taken from there, and the commit says why it does.
GOLDEN = json.loads(Path(__file__).with_name("golden_ids.json").read_text())

TRAINED, EVALUATED = 4, 5  # rows of a batch: how batches are told from each other, and from what only tries a model
SMALL = (
    "data.train_samples=12",
    f"data.val_samples={EVALUATED}",
    f"data.test_samples={EVALUATED}",
    "trainer.max_steps=1",
    "trainer.eval_steps=1",
    f"trainer.per_device_train_batch_size={TRAINED}",
    "trainer.disable_tqdm=true",
    "trainer.save_strategy=no",
    "model.width=16",
    "augment=none",
)
ASKS = {
    "head": (),
    "score": ("readout=score",),
    "clm": ("task=clm",),
    "encoder-head": ("model=bert_tiny",),
    "mlm": ("model=bert_tiny", "task=mlm"),
}
VOCABULARIES = {
    "own": ("vocabulary=own",),
    "reuse": ("vocabulary=reuse", "vocabulary.path={path}"),
    "extend": ("vocabulary=extend", "vocabulary.path={path}", "textify=region_color"),
    "learn": ("vocabulary=learn", "vocabulary.size=96"),
}
CLASSES = "task.prompts='One of {{classes}}.\nImage: {{image}}\nclass: {{answer}}\n'"
PATCHES = ("textify=patch_words", "textify.patch=2", "textify.codes=16")
RUNS = {
    f"{ask}-{vocabulary}": (*asked, *written)
    for ask, asked in ASKS.items()
    for vocabulary, written in VOCABULARIES.items()
} | {
    "head-shifted": ("augment=shift",),
    "generate-own": ("readout=generate", *VOCABULARIES["own"]),
    "generate-reuse": ("readout=generate", *VOCABULARIES["reuse"]),
    "score-shots": ("readout=score", "task.shots=2"),
    "score-classes": ("readout=score", CLASSES),
    "score-classes-shots-reuse": ("readout=score", CLASSES, "task.shots=2", *VOCABULARIES["reuse"]),
    "generate-classes-patches": ("readout=generate", CLASSES, *PATCHES),
    "mlm-block-patches": ("model=bert_tiny", "task=mlm", "task.mask=block", *PATCHES),
}
ENDPOINTS = {
    "endpoint-score": ("readout=score",),
    "endpoint-generate": ("readout=generate",),
    "endpoint-generate-classes-shots": ("readout=generate", CLASSES, "task.shots=2"),
    "endpoint-chat-shots": ("readout=generate", "task.chat=true", "task.shots=2"),
}


class Enough(BaseException):
    """All that was to be known of a run is known."""


@pytest.fixture(scope="module")
def keep(tmp_path_factory) -> Iterator[dict]:
    found: dict = {}
    yield found
    lines = [f"{json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found)]
    (tmp_path_factory.getbasetemp() / "golden_ids.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


@pytest.fixture
def losses(monkeypatch) -> list[float]:
    """Of each step, as the Trainer has them."""
    steps: list[float] = []
    whole = transformers.Trainer.training_step

    @functools.wraps(whole)
    def step(*args, **kwargs):
        loss = whole(*args, **kwargs)
        steps.append(float(loss))
        return loss

    monkeypatch.setattr(transformers.Trainer, "training_step", step)
    return steps


@pytest.fixture
def seen(monkeypatch, losses) -> dict[str, list[np.ndarray]]:
    """What the model under any head is given: ids of the first batch it learns from, and of the first of as many rows
    as there are to evaluate, with which the run ends."""
    given: dict[str, list[np.ndarray]] = {}

    def watched(forward):
        signature = inspect.signature(forward)

        @functools.wraps(forward)
        def call(self, *args, **kwargs):
            named = signature.bind(self, *args, **kwargs).arguments
            ids, mask = named["input_ids"], named.get("attention_mask")
            if self.training and "trained" not in given:
                given["trained"] = unpadded(ids, mask)
            if not self.training and losses and len(ids) == EVALUATED:
                given["evaluated"] = unpadded(ids, mask)
                raise Enough
            return forward(self, *args, **kwargs)

        return call

    for kind in (transformers.GPT2Model, transformers.BertModel):
        monkeypatch.setattr(kind, "forward", watched(kind.forward))
    return given


def unpadded(ids: torch.Tensor, mask: torch.Tensor | None) -> list[np.ndarray]:
    """The rows of a batch int64 `[B, L]`, its mask being `[B, L]`, or who sees whom `[B, 1, L, L]`: there, a token that
    another sees is no padding."""
    if mask is None:
        mask = torch.ones_like(ids)
    if mask.ndim == 4:
        allowed = (mask if mask.dtype == torch.bool else mask == 0)[:, 0]
        mask = (allowed & ~torch.eye(ids.shape[1], dtype=torch.bool)).any(dim=1)
    return [row[kept.bool()].numpy().astype(np.int64) for row, kept in zip(ids, mask, strict=True)]


def told(rows: list[np.ndarray]) -> dict:
    """Rows of ids as they are kept: their lengths, a hash of all, and the first one's beginning and end to be read."""
    return {
        "lengths": [len(row) for row in rows],
        "sha256": hashlib.sha256(np.concatenate(rows).tobytes()).hexdigest()[:16],
        "begins": rows[0][:12].tolist(),
        "ends": rows[0][-6:].tolist(),
    }


@pytest.mark.parametrize("name", RUNS)
def test_a_model_is_given_these_ids(name, composed, seen, losses, keep, request):
    overrides, path = RUNS[name], None
    if "vocabulary.path={path}" in overrides:
        path = request.getfixturevalue("small_wordpiece" if "model=bert_tiny" in overrides else "gpt2_folder")
    with pytest.raises(Enough):
        carry_out(composed(name, *(each.format(path=path) for each in overrides), base=SMALL))
    kept = GOLDEN.get(name, {})
    # How answers are tried behind a prompt is the readout's own: what stands in front of them is held.
    lengths = kept["evaluated"]["lengths"] if kept else map(len, seen["evaluated"])
    prompts = [row[:length] for row, length in zip(seen["evaluated"], lengths, strict=True)]
    found = {"trained": told(seen["trained"]), "evaluated": told(prompts), "loss": losses[0]}
    keep[name] = found
    assert found == {**kept, "loss": pytest.approx(kept.get("loss"), rel=1e-5)}


@pytest.fixture(scope="module")
def server(small_tokenizer):
    tokenizer = transformers.AutoTokenizer.from_pretrained(small_tokenizer)
    torch.manual_seed(0)
    sizes = {"n_layer": 1, "n_embd": 16, "n_head": 2, "n_positions": 1024}
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=len(tokenizer), **sizes)).eval()
    with serving(model, tokenizer) as running:
        yield running


@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_endpoint_is_sent_these_texts(name, run, server, keep):
    server.reset()
    server.says = None if "score" in name else "7"
    there = ("model=endpoint", f"model.url={server.url}", "model.path=tiny", "adaptation=none")
    run(name, *there, "data.test_samples=2", "data.val_samples=2", *(each.format() for each in ENDPOINTS[name]))
    texts = {json.dumps(body.get("messages") or body["prompt"]) for body in server.asked}
    # What else it is asked tries the endpoint, with parts of these texts at most.
    prompts = {text[: text.rindex("class:") + len("class:")] for text in texts if "class:" in text}
    found = [
        {"sha256": hashlib.sha256(text.encode()).hexdigest()[:16], "begins": text[:60], "ends": text[-60:]}
        for text in sorted(prompts, key=lambda each: (len(each), each))[-2:]
    ]
    keep[name] = found
    assert found == GOLDEN.get(name)
