"""Models from scratch: one shape (layers, width, heads) in each architecture."""

from collections.abc import Callable
from dataclasses import dataclass

from transformers import BertConfig, GPT2Config, LlamaConfig, ModernBertConfig, PreTrainedConfig

from llmimg.models.settings import ModelSettings


@dataclass(frozen=True)
class Sizes:
    """What the data decide: tokens in the vocabulary, the longest sequence, and the id that pads."""

    vocabulary: int
    context: int
    pad: int


def gpt2(settings: ModelSettings, sizes: Sizes) -> PreTrainedConfig:
    """Radford et al. 2019. The exact GELU is one fused kernel, a quarter faster on a CPU than GPT-2's approximation."""
    return GPT2Config(
        vocab_size=sizes.vocabulary,
        n_positions=sizes.context,
        n_embd=settings.width,
        n_layer=settings.layers,
        n_head=settings.heads,
        activation_function="gelu",
        resid_pdrop=settings.dropout,
        embd_pdrop=settings.dropout,
        attn_pdrop=settings.dropout,
        initializer_range=settings.initializer_range,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=sizes.pad,
    )


def bert(settings: ModelSettings, sizes: Sizes) -> PreTrainedConfig:
    """Devlin et al. 2019: every token sees every other."""
    return BertConfig(
        vocab_size=sizes.vocabulary,
        max_position_embeddings=sizes.context,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.width,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
        classifier_dropout=settings.dropout,
        initializer_range=settings.initializer_range,
        pad_token_id=sizes.pad,
    )


def modernbert(settings: ModelSettings, sizes: Sizes) -> PreTrainedConfig:
    """Warner et al. 2024: every token sees every other, norms stand before what they feed, positions are rotary; a head
    reads the mean of all tokens."""
    return ModernBertConfig(
        vocab_size=sizes.vocabulary,
        max_position_embeddings=sizes.context,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=8 * settings.width // 3,
        # pyrefly: ignore[unexpected-keyword]  # it is read from what else is given
        global_attn_every_n_layers=1,  # an image's rows are as near as its columns: no layer looks at neighbours alone
        classifier_pooling="mean",
        embedding_dropout=settings.dropout,
        attention_dropout=settings.dropout,
        mlp_dropout=settings.dropout,
        classifier_dropout=settings.dropout,
        initializer_range=settings.initializer_range,
        pad_token_id=sizes.pad,
        bos_token_id=None,
        eos_token_id=None,
        cls_token_id=None,
        sep_token_id=None,
    )


def llama(settings: ModelSettings, sizes: Sizes) -> PreTrainedConfig:
    """Touvron et al. 2023: rotary positions, gated units; as many parameters a layer as the others."""
    return LlamaConfig(
        vocab_size=sizes.vocabulary,
        max_position_embeddings=sizes.context,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        intermediate_size=8 * settings.width // 3,
        attention_dropout=settings.dropout,
        initializer_range=settings.initializer_range,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=sizes.pad,
    )


ARCHITECTURES: dict[str, Callable[[ModelSettings, Sizes], PreTrainedConfig]] = {
    "gpt2": gpt2,
    "bert": bert,
    "modernbert": modernbert,
    "llama": llama,
}
