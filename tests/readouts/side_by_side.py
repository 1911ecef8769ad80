"""An oracle: every token of every answer goes through the model, and all that it expects there is kept."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from llmimg.readouts.attention import attention_argument


def answer_scores(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, answers: Sequence[Sequence[int]], shared: bool = True
) -> torch.Tensor:
    """log P(answer | prompt), in nats: float32 `[B, K]`; arguments as of `answer_logits`."""
    logits, tokens, whose = answer_logits(model, ids, mask, answers, shared)
    each = logits.log_softmax(dim=-1).gather(2, tokens.expand(len(ids), -1)[..., None])[..., 0]
    return torch.zeros(len(ids), len(answers)).index_add_(1, whose, each)


def held_scores(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, answers: Sequence[tuple[int, ...]], shared=True
) -> torch.Tensor:
    """log P(answer | prompt, held to the answers), in nats: float32 `[B, K]`."""
    following: dict[tuple[int, ...], dict[int, None]] = {}
    for answer in answers:
        for position, token in enumerate(answer):
            following.setdefault(answer[:position], {})[token] = None
    logits, tokens, whose = answer_logits(model, ids, mask, answers, shared)
    choices = [list(following[answer[:position]]) for answer in answers for position in range(len(answer))]
    most = max(map(len, choices))
    # [S, A]: the tokens that may stand at each position; the first again where there are fewer.
    allowed = torch.tensor([each + each[:1] * (most - len(each)) for each in choices])
    real = torch.tensor([[position < len(each) for position in range(most)] for each in choices])
    held = logits.gather(2, allowed.expand(len(ids), -1, -1)).masked_fill(~real, -torch.inf)
    each = logits.gather(2, tokens.expand(len(ids), -1)[..., None])[..., 0] - held.logsumexp(dim=2)
    return torch.zeros(len(ids), len(answers)).index_add_(1, whose, each)


def answer_logits(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, answers: Sequence[Sequence[int]], shared: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What the model expects at each token of each answer.

    Args:
        ids, mask: prompts int64 `[B, L]`, padded on the left, and where they are not padding.
        answers: token ids of each, one or more.
        shared: all answers side by side behind their prompt, or a pass for each.

    Returns:
        logits float32 `[B, S, V]`, for all tokens of all answers one after the other; these tokens, int64 `[S]`; and
        which answer each is of, int64 `[S]`.
    """
    lengths = torch.tensor([len(answer) for answer in answers])
    whose = torch.repeat_interleave(torch.arange(len(answers)), lengths)  # [S]: each token's answer
    position = torch.cat([torch.arange(each) for each in lengths])  # [S]: … and its index in it
    tokens = torch.tensor([token for answer in answers for token in answer])  # [S]
    if shared:
        return _shared(model, ids, mask, tokens, whose, position), tokens, whose
    rows = [
        torch.cat(
            [
                model(torch.cat([each[seen == 1], each.new_tensor(answer)])[None]).logits[0, -len(answer) - 1 : -1]
                for answer in answers
            ]
        )
        for each, seen in zip(ids, mask, strict=True)
    ]
    return torch.stack(rows), tokens, whose


def _shared(model, ids, mask, tokens, whose, position) -> torch.Tensor:
    (count, length), size = ids.shape, len(tokens)
    # Who sees whom: prompts causally, and an answer's token its prompt and the answer's tokens up to itself.
    seen = mask.bool()
    within = torch.ones(length, length, dtype=torch.bool).tril() & seen[:, None, :]
    within |= torch.eye(length, dtype=torch.bool)  # padding sees itself: a row of nothing is no number
    own = (whose[:, None] == whose) & (position[:, None] >= position)
    top = torch.cat([within, torch.zeros(count, length, size, dtype=torch.bool)], dim=2)
    bottom = torch.cat([seen[:, None, :].expand(-1, size, -1), own.expand(count, -1, -1)], dim=2)
    positions = torch.cat([(mask.cumsum(dim=1) - 1).clamp(min=0), mask.sum(dim=1, keepdim=True) + position], dim=1)
    logits = model(
        input_ids=torch.cat([ids, tokens.expand(count, -1)], dim=1),
        attention_mask=attention_argument(torch.cat([top, bottom], dim=1), model),
        position_ids=positions,
        logits_to_keep=size + 1,
        use_cache=False,
    ).logits.float()  # [B, 1 + S, V]: of the prompts' last tokens, then of the answers'
    # An answer's first token follows the prompt, any other the one before it.
    return logits[:, torch.where(position == 0, 0, torch.arange(size))]
