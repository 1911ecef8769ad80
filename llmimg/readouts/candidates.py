"""How likely each of some candidates is as the continuation of a prompt, without reading anything twice.

Behind the prompt stand the nodes of the candidates' trie, each of which sees the prompt and the nodes above it (a tree
mask, as in speculative decoding: Miao et al., SpecInfer, ASPLOS 2024). Of what the model expects there, no more is kept
than each candidate needs.
"""

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from transformers import PreTrainedModel

from llmimg.errors import UserError
from llmimg.readouts.attention import attention_argument
from llmimg.readouts.sight import check_causal, stay_apart
from llmimg.tokens.trie import Trie

NOTHING_IN_FRONT = (
    "An answer begins the text, where no token has a probability: put some words in front of {image} in task.prompts."
)
_MOST_LOGITS = 2**26  # at once: 256 MB
_MOST_NODES = 64  # behind the prompt at once: attention goes over all of them for each, a pass has a cost of its own
_MOST_ROWS = 32  # at once, where the nodes cannot share one

Logits = tuple[slice, int, int, torch.Tensor]  # rows of the batch, first node and one beyond the last, [rows, nodes, V]


def trie_scores(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, trie: Trie, held: bool = False
) -> torch.Tensor:
    """log P(candidate | prompt), in nats: float32 `[B, K]`. What it takes of memory besides does not grow with K.

    Args:
        model: a causal model.
        ids, mask: prompts int64 `[B, L]`, padded on the left, and where they are not padding.
        held: a token's probability is its share among those that go on with a candidate, not among all.

    Raises:
        UserError: a model that is not causal, or an empty prompt.
    """
    if not mask.any(dim=1).all():
        raise UserError(NOTHING_IN_FRONT)
    most = min(_MOST_NODES, _MOST_LOGITS // (len(ids) * model.config.get_text_config().vocab_size))
    if _go_by_the_mask(model, ids, mask, trie, most):
        found = _in_one_row(model, ids, mask, trie, most)
    else:
        found = _in_rows_of_their_own(model, ids, mask, trie)
    scores = torch.zeros(len(ids), trie.candidates, device=ids.device)
    for rows, start, stop, logits in found:
        _add(scores[rows], logits.float(), trie, start, stop, held)
    return scores


def _add(scores: torch.Tensor, logits: torch.Tensor, trie: Trie, start: int, stop: int, held: bool) -> None:
    """Add to scores `[R, K]` the log-probability of each step that leaves some nodes; their logits are `[R, N, V]`."""

    def slices(first: int, last: int, *arrays: np.ndarray) -> list[torch.Tensor]:
        return [torch.as_tensor(each[first:last], device=scores.device) for each in arrays]

    first, last = np.searchsorted(trie.edge_nodes, [start, stop])
    nodes, tokens = slices(first, last, trie.edge_nodes, trie.edge_tokens)
    nodes = nodes - start
    if held:
        each = logits[:, nodes, tokens]  # [R, E]
        each -= _log_sums(each, nodes, stop - start)[:, nodes]
    else:
        each = logits.log_softmax(dim=2)[:, nodes, tokens]  # quicker than logsumexp
    edges, candidates = slices(*np.searchsorted(trie.step_edges, [first, last]), trie.step_edges, trie.step_candidates)
    scores.index_add_(1, candidates, each[:, edges - first])


def _log_sums(values: torch.Tensor, groups: torch.Tensor, count: int) -> torch.Tensor:
    """log Σ exp of the values `[R, E]` of each group; groups are int64 `[E]`, float32 `[R, count]` comes out."""
    largest = values.new_full((len(values), count), -torch.inf)
    largest.scatter_reduce_(1, groups.expand(len(values), -1), values, "amax")
    sums = torch.zeros_like(largest).index_add_(1, groups, (values - largest[:, groups]).exp())
    return largest + sums.log()


def _in_one_row(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, trie: Trie, most: int
) -> Iterator[Logits]:
    """The prompts in one pass, and behind their cached keys and values as many nodes at once as `most` says."""
    everyone, count = slice(None), len(ids)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    goes_on = len(trie) > 1
    out = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=goes_on, logits_to_keep=1)
    yield everyone, 0, 1, out.logits[:, -1:]
    cache = out.past_key_values if goes_on else None
    seen = mask.bool()[:, None]
    if seen.all():
        seen = seen[:1]  # one mask for all rows is a fifth quicker
    for above, start, stop in trie.chunks(most):
        nodes = np.concatenate([above, np.arange(start, stop)])
        tree = (nodes <= nodes[:, None]) & (nodes[:, None] < trie.ends[nodes])  # who sees whom: those above, and itself
        tokens, depths, tree = (
            torch.as_tensor(each, device=ids.device) for each in (trie.tokens[nodes], trie.depths[nodes], tree)
        )
        allowed = torch.cat([seen.expand(-1, len(nodes), -1), tree.expand(len(seen), -1, -1)], dim=2)  # [B, C, L + C]
        logits = model(
            input_ids=tokens.expand(count, -1),
            attention_mask=attention_argument(allowed, model),
            position_ids=positions[:, -1:] + depths,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=stop - start,
        ).logits
        yield everyone, start, stop, logits[:, start - stop :]
        if cache is not None and stop < len(trie):
            cache.crop(-len(nodes))


def _in_rows_of_their_own(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, trie: Trie
) -> Iterator[Logits]:
    """A row for each prompt and each node with none below it, with nothing in front of it."""
    lengths, tips = mask.sum(dim=1), trie.tips
    starts = [0, *tips[:-1] + 1]  # nodes above a tip that stand above the one before it are known by then
    paths = [torch.as_tensor(trie.tokens[trie.path(tip)[1:]], device=ids.device) for tip in tips]
    vocabulary, depth = model.config.get_text_config().vocab_size, int(trie.depths.max())
    most = min(_MOST_ROWS, max(_MOST_LOGITS // ((depth + 1) * vocabulary), 1))
    for length in lengths.unique().tolist():
        pairs = itertools.product((lengths == length).nonzero()[:, 0].tolist(), range(len(tips)))
        while some := list(itertools.islice(pairs, most)):
            tails = torch.nn.utils.rnn.pad_sequence([paths[tip] for _, tip in some], batch_first=True)
            left = torch.tensor([[len(paths[tip])] for _, tip in some], device=ids.device)
            rows = torch.cat([ids[[row for row, _ in some], -length:], tails], dim=1)
            logits = model(
                input_ids=rows,
                attention_mask=(torch.arange(rows.shape[1], device=ids.device) < length + left).long(),
                logits_to_keep=tails.shape[1] + 1,
                use_cache=False,
            ).logits[:, -tails.shape[1] - 1 :]  # not every architecture leaves the others out
            for (row, tip), each in zip(some, logits, strict=True):
                start, stop = starts[tip], tips[tip] + 1
                yield slice(row, row + 1), start, stop, each[None, torch.as_tensor(trie.depths[start:stop])]


def _go_by_the_mask(model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, trie: Trie, most: int) -> bool:
    """Whether nodes in one row have the logits that each has in a row of its own: tried with the longest prompt, padded
    with half of itself, and the last nodes of the first two chunks.

    Raises:
        UserError: a model that is not causal.
    """
    row = int(mask.sum(dim=1).argmax())
    prompt = ids[row][mask[row] == 1]
    stops = [stop for *_, stop in itertools.islice(trie.chunks(most), 2)] or [1]
    paths = [trie.path(stop - 1) for stop in stops]
    token = trie.edge_tokens[np.searchsorted(trie.edge_nodes, paths[0][-1])]  # behind the last node of the first chunk
    check_causal(model, torch.cat([prompt, prompt.new_tensor([*trie.tokens[paths[0][1:]], token])]))
    padded = torch.cat([prompt[: (len(prompt) + 1) // 2], prompt])[None]
    real = (torch.arange(padded.shape[1], device=ids.device) >= padded.shape[1] - len(prompt)).long()[None]

    def together() -> torch.Tensor:
        found = itertools.islice(_in_one_row(model, padded, real, trie, most), 1 + len(paths))
        return torch.cat([logits[0] for *_, logits in found])[torch.as_tensor(np.concatenate(paths))]

    def alone() -> torch.Tensor:
        wholes = [torch.cat([prompt, prompt.new_tensor(trie.tokens[path[1:]])]) for path in paths]
        return torch.cat(
            [
                model(input_ids=whole[None], use_cache=False).logits[0, -len(path) :]
                for whole, path in zip(wholes, paths, strict=True)
            ]
        )

    return stay_apart(model, padded.shape[1] + stops[0] - 1, together, alone, arrangement=trie)
