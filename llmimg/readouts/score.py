"""The likelihood of each answer's words as continuation of the image's text."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from llmimg.errors import UserError
from llmimg.readouts.attention import attention_argument
from llmimg.readouts.base import READOUTS, Batch, Readout, Rows, tensors
from llmimg.readouts.loss import IGNORED, Term
from llmimg.readouts.sight import check_causal, stay_apart

_NOTHING_IN_FRONT = (
    "An answer begins the text, where no token has a probability: put some words in front of {image} in task.template."
)
_ROWS = 32  # at once, where each answer has one of its own


class Prompted(Readout):
    """A causal model that learns to continue an image's text with the right answer: it maximises
    log P(answer | text), and nothing of the text itself."""

    auto_class = AutoModelForCausalLM
    causal = True
    terms = (Term(shifted=True),)
    prompted = True

    def training_batch(self, rows: Rows) -> Batch:
        answers = [self.layout.prompt.answers[label] for label in self.task.targets(rows)["labels"]]
        ids, mask = self.layout([row["image_ids"] for row in rows], answers)
        # Answers end their rows: the last so many tokens are what is to be learned.
        left = mask.sum(axis=1)[:, None] - np.arange(mask.shape[1])
        lengths = np.array([len(answer) for answer in answers])[:, None]
        labels = np.where((left <= lengths) & (mask == 1), ids, IGNORED)
        return tensors(input_ids=ids, attention_mask=mask, labels=labels)

    def batch(self, rows: Rows) -> Batch:
        ids, mask = self.layout([row["image_ids"] for row in rows], left=True)
        return tensors(input_ids=ids, attention_mask=mask, **self.targets(rows))


@READOUTS.register("score")
class Score(Prompted):
    """log P(answer | text) of each answer, normalised, as log-probabilities `[B, K]` that sum to one.

    All answers share one pass with the image's text, where the model goes by its mask: they stand behind it side by
    side, and each sees the text and itself alone.
    """

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        prompt = self.layout.prompt
        if self.settings.normalise == "prior" and not (prompt.before or prompt.blank or prompt.after):
            raise UserError(_NOTHING_IN_FRONT)

    def outputs(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        answers = self.layout.prompt.answers
        scores = answer_scores(model, batch["input_ids"], batch["attention_mask"], answers)
        if self.settings.normalise == "length":
            scores = scores / torch.tensor([len(answer) for answer in answers], device=scores.device)
        if self.settings.normalise == "prior":
            ids, mask = self.layout([np.array(self.layout.prompt.blank, np.int64)], left=True)
            empty = tensors(ids=ids, mask=mask)
            scores = scores - answer_scores(
                model, empty["ids"].to(scores.device), empty["mask"].to(scores.device), answers
            )
        return scores.log_softmax(dim=1)


def answer_scores(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, answers: Sequence[Sequence[int]]
) -> torch.Tensor:
    """log P(answer | prompt), in nats: float32 `[B, K]`; arguments as of `answer_logits`."""
    logits, tokens, whose = answer_logits(model, ids, mask, answers)
    each = logits.log_softmax(dim=-1).gather(2, tokens.expand(len(ids), -1)[..., None])[..., 0]
    return torch.zeros(len(ids), len(answers), device=ids.device).index_add_(1, whose, each)


def answer_logits(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, answers: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What the model expects at each token of each answer: in one pass that shares the prompt, where the model keeps
    the answers apart in it, else in a row for each answer.

    Args:
        ids, mask: prompts int64 `[B, L]`, padded on the left, and where they are not padding.
        answers: token ids of each, one or more.

    Returns:
        logits float32 `[B, S, V]`, for all tokens of all answers one after the other; these tokens, int64 `[S]`; and
        which answer each is of, int64 `[S]`.

    Raises:
        UserError: a model that is not causal, or an answer with nothing in front of it.
    """
    if not mask.any(dim=1).all():
        raise UserError(_NOTHING_IN_FRONT)
    device = ids.device
    lengths = torch.tensor([len(answer) for answer in answers])
    whose = torch.repeat_interleave(torch.arange(len(answers)), lengths).to(device)  # [S]: each token's answer
    place = torch.cat([torch.arange(each) for each in lengths]).to(device)  # [S]: … and its place in it
    tokens = torch.tensor([token for answer in answers for token in answer], device=device)  # [S]

    # Tried with the longest prompt, whose last answer stands furthest from it.
    row = int(mask.sum(dim=1).argmax())
    prompt, last = ids[row][mask[row] == 1], answers[-1]
    check_causal(model, torch.cat([prompt, tokens[-len(last) :]]))
    shared = stay_apart(
        model,
        len(prompt) + len(tokens),
        lambda: _shared(model, prompt[None], torch.ones_like(prompt)[None], tokens, whose, place)[0, -len(last) :],
        lambda: _alone(model, prompt, [last]),
    )
    if shared:
        return _shared(model, ids, mask, tokens, whose, place), tokens, whose
    rows = [_alone(model, each[seen == 1], answers) for each, seen in zip(ids, mask, strict=True)]
    return torch.stack(rows), tokens, whose


def _shared(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor,
    tokens: torch.Tensor,
    whose: torch.Tensor,
    place: torch.Tensor,
) -> torch.Tensor:
    """Logits `[B, S, V]` in one pass; arguments as `answer_logits` names them."""
    device, (count, length), size = ids.device, ids.shape, len(tokens)

    # Who sees whom: prompts causally, and an answer's token its prompt and the answer's tokens up to itself.
    seen = mask.bool()
    within = torch.ones(length, length, dtype=torch.bool, device=device).tril() & seen[:, None, :]
    within |= torch.eye(length, dtype=torch.bool, device=device)  # padding sees itself: a row of nothing is no number
    own = (whose[:, None] == whose) & (place[:, None] >= place)
    top = torch.cat([within, torch.zeros(count, length, size, dtype=torch.bool, device=device)], dim=2)
    bottom = torch.cat([seen[:, None, :].expand(-1, size, -1), own.expand(count, -1, -1)], dim=2)
    allowed = torch.cat([top, bottom], dim=1)

    positions = torch.cat([(mask.cumsum(dim=1) - 1).clamp(min=0), mask.sum(dim=1, keepdim=True) + place], dim=1)
    logits = model(
        input_ids=torch.cat([ids, tokens.expand(count, -1)], dim=1),
        attention_mask=attention_argument(allowed, model),
        position_ids=positions,
        logits_to_keep=size + 1,
        use_cache=False,
    ).logits.float()  # [B, 1 + S, V]: of the prompts' last tokens, then of the answers'
    # An answer's first token follows the prompt, any other the one before it.
    return logits[:, torch.where(place == 0, 0, torch.arange(size, device=device))]


def _alone(model: PreTrainedModel, prompt: torch.Tensor, answers: Sequence[Sequence[int]]) -> torch.Tensor:
    """Logits `[S, V]` at the answers' tokens behind one prompt `[L]`, a row for each answer."""
    found = []
    for start in range(0, len(answers), _ROWS):
        some = [prompt.new_tensor(answer) for answer in answers[start : start + _ROWS]]
        tails = torch.nn.utils.rnn.pad_sequence(some, batch_first=True, padding_value=int(prompt[0]))
        rows = torch.cat([prompt.expand(len(some), -1), tails], dim=1)
        left = torch.tensor([[len(each)] for each in some], device=prompt.device)
        logits = model(
            input_ids=rows,
            attention_mask=(torch.arange(rows.shape[1], device=prompt.device) < len(prompt) + left).long(),
            logits_to_keep=tails.shape[1] + 1,
            use_cache=False,
        ).logits.float()[:, -tails.shape[1] - 1 :]  # not every architecture leaves the others out
        found += [each[: len(answer)] for each, answer in zip(logits, some, strict=True)]
    return torch.cat(found)
