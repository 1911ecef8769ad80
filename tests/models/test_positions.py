"""How long a text a model reads is asked of the model: so long it reads, and no longer."""

import pytest
import torch
import transformers
from transformers import AutoModel

from llmimg.models.positions import readable_length

SMALL = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "pad_token_id": 1,
    "max_position_embeddings": 24,
}
# kind → what else its configuration needs, and how many of its 24 positions can be read
TABLES = {
    "Bert": ({}, 24),
    "Electra": ({"embedding_size": 16}, 24),
    "Roberta": ({}, 22),
    "Camembert": ({}, 22),
    "XLMRoberta": ({}, 22),
    "MPNet": ({}, 22),
    "Data2VecText": ({}, 22),
    "Luke": ({"entity_vocab_size": 4, "entity_emb_size": 8}, 22),
    "IBert": ({}, 22),
    "Xmod": ({"languages": ["en_XX"], "default_language": "en_XX"}, 22),
    "Esm": ({"position_embedding_type": "absolute", "token_dropout": False}, 22),
    "Longformer": ({"attention_window": 4}, 22),
    "RobertaPreLayerNorm": ({"pad_token_id": 3}, 20),
    "GPT2": ({"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 24}, 24),
    "OPT": ({"ffn_dim": 16, "word_embed_proj_dim": 16}, 24),
}
NO_TABLE = ("Llama", "ModernBert", "GPTNeoX", "Qwen2")


def config_of(kind: str, **more):
    taken = {name: value for name, value in SMALL.items() if kind != "GPT2" or name in ("vocab_size", "pad_token_id")}
    ends = {"bos_token_id": 0, "eos_token_id": 2} if kind in ("GPT2", "OPT", "ModernBert") else {}
    marks = {"cls_token_id": 0, "sep_token_id": 2} if kind == "ModernBert" else {}
    return getattr(transformers, f"{kind}Config")(**{**taken, **ends, **marks, **more})


@torch.no_grad()
def reads(config, length: int) -> bool:
    torch.manual_seed(0)
    model = AutoModel.from_config(config).eval()
    ids = torch.full((1, length), 5)
    try:
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    except (IndexError, RuntimeError):
        return False
    return True


@pytest.mark.parametrize("kind", TABLES)
def test_so_many_tokens_and_no_more(kind):
    more, readable = TABLES[kind]
    config = config_of(kind, **more)
    before = torch.get_rng_state()
    assert readable_length(config) == readable
    assert torch.equal(torch.get_rng_state(), before)
    assert reads(config, readable) and not reads(config, readable + 1)


@pytest.mark.parametrize("kind", NO_TABLE)
def test_without_a_table_the_configuration_says_it(kind):
    assert readable_length(config_of(kind)) == 24


def test_a_configuration_that_names_no_limit():
    assert readable_length(transformers.T5Config(d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)) is None
