"""How long a sequence a model can read: asked of the model, not of what its configuration calls positions."""

import contextlib
import copy
from collections.abc import Iterator

import torch
from transformers import AutoModel, PreTrainedConfig

from llmimg.hub import new_model

_PROBE = 4  # tokens


def readable_length(config: PreTrainedConfig) -> int | None:
    """The longest sequence, framing included; None where the configuration names no limit.

    A model with a table of positions may count from behind an offset (RoBERTa, MPNet, ESM, LUKE … from behind the
    padding token's id; OPT and BART have rows of their own for it): one layer of it reads a few tokens, and which rows
    of the table it looks up shows where they begin.
    """
    text = config.get_text_config()
    limit = getattr(text, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit < 1:
        return None
    table = _positions(text)
    return limit if table is None else min(table, limit)


def _positions(config: PreTrainedConfig) -> int | None:
    """How many tokens a table of positions has rows for; None where there is none (rotary or relative positions)."""
    if not _has_table(config):
        return None
    for layers in (1, None):  # with one layer, or, where the architecture does not go with that, as it is
        small = copy.deepcopy(config)
        with contextlib.suppress(Exception):  # whatever an architecture makes of it
            if layers:
                small.num_hidden_layers = layers
            if (found := _looked_up(small)) is not None:
                return found
    return None


def _looked_up(config: PreTrainedConfig) -> int | None:
    looked: list[tuple[torch.Tensor, int]] = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        model = new_model(AutoModel, config).eval()
        token = next(each for each in range(3) if each not in (config.pad_token_id, config.eos_token_id))
        with _watching(looked), contextlib.suppress(Exception):  # positions are looked up before anything can go wrong
            model(input_ids=torch.full((1, _PROBE), token), attention_mask=torch.ones(1, _PROBE, dtype=torch.long))
    rows = [
        size - int(ids.flatten()[0])
        for ids, size in looked
        if ids.numel() >= _PROBE and (ids.flatten()[:_PROBE].diff() == 1).all()
    ]
    return min(rows, default=None)


def _has_table(config: PreTrainedConfig) -> bool:
    """Whether there is a table as long as the positions, besides that of the tokens; no memory is taken to see it."""
    with torch.device("meta"):
        model = new_model(AutoModel, config)
    words = model.get_input_embeddings()
    tables = [each for each in model.modules() if "embedding" in type(each).__name__.lower() and each is not words]
    weights = [weight for each in tables if isinstance(weight := getattr(each, "weight", None), torch.Tensor)]
    return any(weight.dim() == 2 and len(weight) >= config.max_position_embeddings for weight in weights)


@contextlib.contextmanager
def _watching(looked: list[tuple[torch.Tensor, int]]) -> Iterator[None]:
    """Note the ids and the number of rows of whatever is looked up in a table."""
    embedding = torch.nn.functional.embedding

    def watched(ids: torch.Tensor, weight: torch.Tensor, *others, **named) -> torch.Tensor:
        looked.append((ids.detach().clone(), len(weight)))
        return embedding(ids, weight, *others, **named)

    torch.nn.functional.embedding = watched
    try:
        yield
    finally:
        torch.nn.functional.embedding = embedding
