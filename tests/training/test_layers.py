import pytest
import torch
from transformers import (
    AlbertConfig,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    BertConfig,
    FunnelConfig,
    GPT2Config,
    LlamaConfig,
    ResNetConfig,
    XLMConfig,
)

from llmimg.errors import UserError
from llmimg.training.layers import by_layer, depths

SHAPES = {
    "gpt2": GPT2Config(vocab_size=9, n_embd=8, n_layer=2, n_head=2, n_positions=8),
    "bert": BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=8,
    ),
    "llama": LlamaConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        intermediate_size=8,
    ),
}  # fmt: skip


@pytest.fixture(params=SHAPES)
def model(request):
    return AutoModelForSequenceClassification.from_config(SHAPES[request.param])


def test_embeddings_are_lowest_and_the_head_highest(model):
    heights = depths(model)
    assert set(heights.values()) == {0, 1, 2, 3}
    for name, height in heights.items():
        if any(part in name for part in ("wte", "wpe", "embed")):
            assert height == 0, name
        if name.startswith(("score", "classifier")):
            assert height == 3, name
        if any(part in name for part in ("h.1.", "layer.1.", "layers.1.")):
            assert height == 2, name


def test_each_layer_learns_at_its_own_rate(model):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0)
    groups = by_layer(optimizer.param_groups, model, 0.5)
    assert sorted(group["lr"] for group in groups) == [0.125, 0.25, 0.5, 1.0]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    optimizer.param_groups = groups
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    model.config.pad_token_id = 0
    model(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([0])).loss.backward()
    optimizer.step()
    heights = depths(model)
    for name, weight in model.named_parameters():
        if weight.grad is not None and name.startswith(("score", "classifier")):
            moved = (weight - before[name]).abs().max().item()
            assert heights[name] == 3 and moved == pytest.approx(1, rel=0.1)


def test_depth_grows_through_the_stages_of_a_resnet():
    config = ResNetConfig(num_channels=1, embedding_size=8, hidden_sizes=[8, 16], depths=[2, 2], layer_type="basic")
    model = AutoModelForImageClassification.from_config(config)
    heights = depths(model)
    blocks = [(0, 0), (0, 1), (1, 0), (1, 1)]
    of = {
        block: {height for name, height in heights.items() if f"stages.{block[0]}.layers.{block[1]}." in name}
        for block in blocks
    }
    assert of == {(0, 0): {1}, (0, 1): {2}, (1, 0): {3}, (1, 1): {4}}
    assert heights["classifier.1.weight"] == 5
    groups = by_layer([{"params": list(model.parameters()), "lr": 1.0}], model, 0.5)
    assert [group["lr"] for group in groups] == [0.5**step for step in range(6)]  # the top's first


def test_layers_in_blocks_and_in_stacks_of_their_parts():
    blocks = FunnelConfig(vocab_size=9, d_model=8, n_head=2, d_inner=8, d_head=4, block_sizes=[2, 2])
    heights = depths(AutoModelForSequenceClassification.from_config(blocks))
    names = [f"funnel.encoder.blocks.{block}.{layer}.attention.q_head.weight" for block in (0, 1) for layer in (0, 1)]
    assert [heights[name] for name in names] == [1, 2, 3, 4]
    parts = XLMConfig(vocab_size=9, emb_dim=8, n_layers=2, n_heads=2)
    heights = depths(AutoModelForSequenceClassification.from_config(parts))
    norms = [f"transformer.layer_norm{part}.{layer}.weight" for part in (1, 2) for layer in (0, 1)]
    assert [heights[name] for name in norms] == [1, 2, 1, 2]
    assert heights["transformer.ffns.1.lin1.weight"] == heights["transformer.attentions.1.q_lin.weight"] == 2


def test_where_no_layers_are_found_it_says_so():
    shared = AlbertConfig(
        vocab_size=9, embedding_size=8, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8
    )
    model = AutoModelForSequenceClassification.from_config(shared)
    with pytest.raises(UserError, match="finds no layers to tell apart in the model 'albert'"):
        by_layer([{"params": list(model.parameters()), "lr": 1.0}], model, 0.5)
