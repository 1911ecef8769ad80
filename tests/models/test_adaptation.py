import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from llmimg.errors import UserError
from llmimg.models.adaptation import adapted, merged
from llmimg.models.language import make_model
from llmimg.models.settings import AdaptationSettings
from llmimg.readouts.head import label_config
from llmimg.tokens.vocabulary import make_vocabulary


@pytest.fixture(params=["gpt2", "bert", "llama"])
def model(request, scratch, textifier, task):
    torch.manual_seed(0)
    vocabulary = make_vocabulary("own", textifier, None)
    settings = scratch(request.param, initializer_range=0.2)
    return make_model(settings, vocabulary, 40, AutoModelForSequenceClassification, label_config(task))


def learning(model) -> set[str]:
    return {name for name, weight in model.named_parameters() if weight.requires_grad}


def moved(model) -> dict[str, torch.Tensor]:
    """One large step on a made-up batch."""
    learns = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(learns, lr=1.0)
    for label in (0, 1, 2):
        model(input_ids=torch.tensor([[5, 6, 7]]), labels=torch.tensor([label])).loss.backward()
        optimizer.step()
    return model


def test_full_is_everything(model):
    assert learning(adapted(model, AdaptationSettings())) == {name for name, _ in model.named_parameters()}


def test_the_head_alone(model):
    assert {name.split(".")[0] for name in learning(adapted(model, AdaptationSettings("head")))} <= {
        "score",
        "classifier",
    }


def test_frozen_leaves_what_mixes_tokens(model):
    names = learning(adapted(model, AdaptationSettings("frozen")))
    mixing = ("attn", "attention.self", "mlp.c", "mlp.up", "mlp.down", "intermediate", "output.dense", "self_attn")
    assert not [name for name in names if any(part in name for part in mixing)]
    assert any("norm" in name.lower() or "ln_" in name for name in names)
    assert any("wte" in name or "embed" in name for name in names)
    assert any(name.startswith(("score", "classifier")) for name in names)


def test_none_is_nothing(model):
    assert not learning(adapted(model, AdaptationSettings("none")))


def test_adapters_start_as_the_model_and_can_be_added_to_it(model):
    ids = torch.tensor([[5, 6, 7, 8]])
    model.eval()
    before = model(input_ids=ids).logits.detach()
    lora = adapted(model, AdaptationSettings("lora", rank=2)).eval()
    assert torch.equal(lora(input_ids=ids).logits, before)
    names = learning(lora)
    assert all("lora_" in name or "score" in name or "classifier" in name for name in names)
    after = moved(lora)(input_ids=ids).logits.detach()
    assert not torch.allclose(after, before, atol=1e-3)
    whole = merged(lora, AdaptationSettings("lora", rank=2))
    assert not any("lora" in name for name, _ in whole.named_parameters())
    np.testing.assert_allclose(whole(input_ids=ids).logits.detach(), after, atol=1e-4)


def test_what_writes_tokens_is_no_head(scratch, textifier):
    vocabulary = make_vocabulary("own", textifier, None)
    model = make_model(scratch("gpt2"), vocabulary, 40, AutoModelForCausalLM, {})
    with pytest.raises(UserError, match=r"adaptation=head needs a model with a head of its own"):
        adapted(model, AdaptationSettings("head"))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"name": "lorra"}, r"no adaptation 'lorra': did you mean 'lora'"),
        ({"rank": 0}, r"adaptation\.rank=0"),
        ({"dropout": 1}, r"adaptation\.dropout=1"),
        ({"save": "all"}, r"no adaptation\.save 'all'"),
    ],
)
def test_what_is_out_of_range_is_refused(chosen, message):
    with pytest.raises(UserError, match=message):
        AdaptationSettings(**chosen)
