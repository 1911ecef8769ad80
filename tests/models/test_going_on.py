"""Going on from a run whose words were others, or whose texts were shorter: what it had stays, what is new is added."""

import json

import pytest
import torch
from safetensors.torch import load_file

from llmimg import Recogniser, UserError

pytestmark = pytest.mark.usefixtures("one_thread")
STILL = ("trainer.learning_rate=0", "trainer.max_steps=1")  # what is saved is what the run began with
ROWS = {"gpt2_tiny": ["transformer.wte.weight"], "llama_tiny": ["model.embed_tokens.weight", "lm_head.weight"]}


def weights_of(run) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def notes_of(run) -> str:
    return "\n".join(json.loads((run / "record.json").read_text())["notes"])


def tokens_of(run) -> dict[str, int]:
    return Recogniser.load(run).encoder.vocabulary.tokenizer.get_vocab()


def on(base, *overrides) -> tuple[str, ...]:
    return ("model=pretrained", f"model.path={base}", *overrides)


@pytest.fixture(scope="module")
def bases(run):
    """Runs that learned what comes next, of each architecture once."""
    made = {}

    def base(model: str):
        if model not in made:
            made[model] = run(f"base {model}", "task=clm", f"model={model}", "trainer.max_steps=2")
        return made[model]

    return base


@pytest.mark.parametrize(("model", "readout"), [("gpt2_tiny", "score"), ("llama_tiny", "generate")])
def test_words_of_a_task_come_behind_those_that_the_model_has(run, bases, model, readout):
    base = bases(model)
    folder = run(f"{readout} {model}", *on(base, f"readout={readout}", *STILL))
    known, now = tokens_of(base), tokens_of(folder)
    assert {token: now[token] for token in known} == known
    new = sorted(now[token] for token in now.keys() - known.keys())
    assert new == list(range(len(known), len(now))) and len(new) >= 10
    assert f"{len(new)} tokens are new to '{base}', and begin around the mean of its own." in notes_of(folder)
    for name in ROWS[model]:
        before, after = weights_of(base)[name], weights_of(folder)[name]
        assert torch.equal(after[: len(before)], before)
        rows = after[len(before) :]
        assert len(rows) == len(new) and len(rows.unique(dim=0)) == len(rows)  # none is as likely as another
        assert float(rows.std()) == pytest.approx(float(before.std()), rel=0.3)
    same = [name for name in weights_of(base) if name not in ROWS[model]]
    assert all(torch.equal(weights_of(base)[name], weights_of(folder)[name]) for name in same)


def test_an_encoder_that_learned_what_was_hidden_gets_a_head(run):
    base = run("hidden", "task=mlm", "model=bert_tiny", "trainer.max_steps=2")
    folder = run("headed", *on(base, "readout=head", *STILL))
    before, after = weights_of(base), weights_of(folder)
    same = [name for name in before if name in after]
    assert len(same) > 20 and all(torch.equal(before[name], after[name]) for name in same)
    assert "are new to" not in notes_of(folder)


def test_adapters_are_gone_on_with_and_new_words_learn_beside_them(run, bases):
    adapters = run("adapted before", *on(bases("gpt2_tiny"), "task=clm", "adaptation=lora", "adaptation.save=adapters"))
    folder = run("adapted", *on(adapters, "readout=score", "adaptation=lora", "adaptation.save=adapters"))
    assert "tokens are new to" in notes_of(folder)
    assert "differ" not in notes_of(folder)  # the saved recogniser answers as the run did
    assert len(tokens_of(folder)) > len(tokens_of(adapters))


def test_a_text_that_is_too_long_is_said_with_what_to_do(run, bases):
    how = on(bases("gpt2_tiny"), "readout=score")
    with pytest.raises(
        UserError, match=r"64 tokens and 3 around them, and 66 fit .*\(model\.positions for a pretrained"
    ):
        run("long", *how, "task.prompts='a {image} is {answer}'")
    with pytest.raises(UserError, match=r"no room for an image's text: 67 stand around it.*model\.positions"):
        run("too long", *how, "task.shots=1")


LONG = ("readout=score", "task.shots=1", "model.positions=140")


@pytest.mark.parametrize("model", ["gpt2_tiny", "llama_tiny"])
def test_positions_go_on_behind_those_that_were_learned(run, bases, model):
    folder = run(f"longer {model}", *on(bases(model), *LONG, *STILL))
    assert f"reads 140 tokens, {140 - 66} more than it learned." in notes_of(folder)
    assert Recogniser.load(folder).model.config.max_position_embeddings == 140
    if model == "gpt2_tiny":
        before, after = (weights_of(each)["transformer.wpe.weight"] for each in (bases(model), folder))
        assert torch.equal(after[:66], before) and len(after) == 140
        assert float(after[66:].std()) == pytest.approx(float(before.std()), rel=0.2)
    # And on from there, without a word.
    further = run(f"further {model}", *on(folder, "readout=score", "task.shots=1", *STILL))
    assert "more than it learned" not in notes_of(further) and "are new to" not in notes_of(further)
    assert all(torch.equal(weights_of(folder)[name], weight) for name, weight in weights_of(further).items())


def test_new_positions_are_kept_with_adapters(run, bases):
    folder = run(
        "long adapters", *on(bases("gpt2_tiny"), *LONG, "adaptation=lora", "adaptation.save=adapters")
    )  # new positions learn whole beside them
    assert "differ" not in notes_of(folder)
    kept = load_file(folder / "model" / "adapter_model.safetensors")
    assert any("wpe" in name and len(weight) == 140 for name, weight in kept.items())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model=gpt2_tiny", "model.positions=99"), "leave it out from scratch"),
        (("model=knn", "model.positions=99"), "for what is no such model"),
        (("model.positions=50",), r"model\.positions=50 adds nothing, as '.*' reads 66 tokens: leave it out"),
    ],
)
def test_positions_that_mean_nothing_are_refused(run, bases, overrides, message):
    how = on(bases("gpt2_tiny"), "readout=score") if len(overrides) == 1 else ()
    with pytest.raises(UserError, match=message):
        run("refused", *how, *overrides)
