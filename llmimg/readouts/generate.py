"""The model writes the answer, held to the answers that there are."""

from collections.abc import Sequence

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from llmimg.readouts.base import READOUTS, Batch
from llmimg.readouts.score import Prompted

MOST_BEAMS = 16


@READOUTS.register("generate")
class Generate(Prompted):
    """log P(answer | text), of a model that is held to the answers at each of its tokens: `[B, K]`, summing to one.

    Beam search finds the likeliest answers; those that no beam reached share what is left of the probability, and are
    none of them likelier than the last that was reached.
    """

    def outputs(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        prompt, pad = self.layout.prompt, self.layout.pad
        known = len(prompt.answers)
        beams = min(self.settings.beams or MOST_BEAMS, known)
        written = model.generate(
            **batch,
            generation_config=GenerationConfig(
                max_new_tokens=max(map(len, prompt.answers)) + 1,
                num_beams=beams,
                num_return_sequences=beams,
                do_sample=False,
                length_penalty=0.0,  # scores are sums of log-probabilities
                early_stopping=beams > 1,
                pad_token_id=pad,
                eos_token_id=pad,
                return_dict_in_generate=True,
                output_scores=True,
            ),
            logits_processor=LogitsProcessorList([_Held(prompt.answers, pad, batch["input_ids"].shape[1])]),
        )
        new = written.sequences[:, batch["input_ids"].shape[1] :].tolist()
        if beams > 1:
            scores = written.sequences_scores.float()
        else:
            steps = model.compute_transition_scores(written.sequences, written.scores)
            scores = steps.masked_fill(~steps.isfinite(), 0).sum(dim=1).float()  # padding after the end is no step
        places = {tuple(answer): place for place, answer in enumerate(prompt.answers)}
        found = torch.full((len(batch["input_ids"]), known), -torch.inf)
        for row, (tokens, score) in enumerate(zip(new, scores.tolist(), strict=True)):
            ends = [end for end in range(len(tokens) + 1) if tuple(tokens[:end]) in places]
            if ends and score > -torch.inf:
                found[row // beams, places[tuple(tokens[: ends[-1]])]] = score
        return _completed(found)


class _Held(LogitsProcessor):
    """Log-probabilities of the tokens that go on with one of the answers; of all others, none."""

    def __init__(self, answers: Sequence[Sequence[int]], end: int, start: int):
        self.start = start
        self.following: dict[tuple[int, ...], set[int]] = {}
        for answer in answers:
            for place, token in enumerate((*answer, end)):
                self.following.setdefault(tuple(answer[:place]), set()).add(token)
        self.end = end

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        held = torch.full_like(scores, -torch.inf)
        for row, written in enumerate(input_ids[:, self.start :].tolist()):
            allowed = sorted(self.following.get(tuple(written), {self.end}))
            held[row, allowed] = scores[row, allowed].float().log_softmax(dim=0).to(scores)
        return held


def _completed(found: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of all answers `[B, K]`, from those of the found ones (−inf: not found)."""
    reached = found.isfinite()
    left = (1 - found.exp().sum(dim=1, keepdim=True)).clamp(min=0)
    share = left / (~reached).sum(dim=1, keepdim=True).clamp(min=1)
    last = found.masked_fill(~reached, torch.inf).min(dim=1, keepdim=True).values.exp()
    filled = torch.where(reached, found.exp(), torch.minimum(share, 0.999 * last)).clamp(min=1e-12)
    return (filled / filled.sum(dim=1, keepdim=True)).log()
