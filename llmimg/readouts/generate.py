"""The model writes the answer, held to the answers that there are."""

from collections.abc import Iterator, Sequence

import torch
from transformers import PreTrainedModel

from llmimg.readouts.base import READOUTS, Batch
from llmimg.readouts.score import Prompted, answer_logits

_MOST_LOGITS = 2**28  # a gigabyte of them at once, unless readout.beams says otherwise


@READOUTS.register("generate")
class Generate(Prompted):
    """log P(answer | text), of a model that is held to the answers at each of its tokens: `[B, K]`, summing to one.

    A token's probability is its share among the tokens that go on with one of the answers. All answers are followed to
    their ends: what is found is exact, and the likeliest answer is the one that an unlimited beam search writes.
    """

    def outputs(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        answers, ids = self.layout.prompt.answers, batch["input_ids"]
        most = max(_MOST_LOGITS // (len(ids) * len(self.vocabulary.tokenizer)), 1)
        return torch.cat(
            [
                held_scores(model, ids, batch["attention_mask"], group, answers)
                for group in _groups(answers, self.settings.beams or len(answers), most)
            ],
            dim=1,
        )


def held_scores(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor,
    answers: Sequence[tuple[int, ...]],
    among: Sequence[tuple[int, ...]],
) -> torch.Tensor:
    """log P(answer | prompt, held to some answers), in nats: float32 `[B, K]`.

    Args:
        ids, mask: prompts int64 `[B, L]`, padded on the left, and where they are not padding.
        answers: token ids of each.
        among: all answers that there are, of which none begins another.
    """
    following: dict[tuple[int, ...], dict[int, None]] = {}
    for answer in among:
        for place, token in enumerate(answer):
            following.setdefault(answer[:place], {})[token] = None
    logits, tokens, whose = answer_logits(model, ids, mask, answers)
    choices = [list(following[answer[:place]]) for answer in answers for place in range(len(answer))]
    most = max(map(len, choices))
    # [S, A]: the tokens that may stand in each place; the first again where there are fewer.
    allowed = torch.tensor([each + each[:1] * (most - len(each)) for each in choices], device=ids.device)
    real = torch.tensor([[place < len(each) for place in range(most)] for each in choices], device=ids.device)
    held = logits.gather(2, allowed.expand(len(ids), -1, -1)).masked_fill(~real, -torch.inf)
    each = logits.gather(2, tokens.expand(len(ids), -1)[..., None])[..., 0] - held.logsumexp(dim=2)
    return torch.zeros(len(ids), len(answers), device=ids.device).index_add_(1, whose, each)


def _groups(
    answers: Sequence[tuple[int, ...]], most_answers: int, most_tokens: int
) -> Iterator[Sequence[tuple[int, ...]]]:
    """Answers in their order, so many at once, of so many tokens; one at least."""
    group: list[tuple[int, ...]] = []
    for answer in answers:
        if group and (len(group) == most_answers or sum(map(len, group)) + len(answer) > most_tokens):
            yield group
            group = []
        group.append(answer)
    yield group
