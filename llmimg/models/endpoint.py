"""A model behind an OpenAI-compatible endpoint (vLLM, llama.cpp, Ollama, hosted services), asked by `openai`'s client.

Every answer is kept in the cache: what was answered once is never asked, nor paid for, again.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from llmimg.errors import UserError
from llmimg.models.answers import Answer, Answers
from llmimg.models.replies import Request, answer_of
from llmimg.models.settings import EndpointOptions

log = logging.getLogger("llmimg")


class Endpoint:
    """A model at a URL.

    Args:
        url: up to where `/completions` follows, as `http://localhost:8000/v1`.
        model: its name there.
        cache: the folder that answers are kept in.

    Raises:
        UserError: where the package `openai` is missing.
    """

    def __init__(self, url: str, model: str, options: EndpointOptions, cache: Path):
        try:
            import openai
        except ImportError as error:
            raise UserError("model=endpoint needs the package openai: pip install openai.") from error
        logging.getLogger("httpx2").setLevel(logging.WARNING)  # it notes every request
        self.url, self.model, self.options, self.cache = url, model, options, cache
        self._answered: dict[str, Answer] = {}  # all that was asked, each once
        self._client = openai.OpenAI(
            base_url=url,
            api_key=os.environ.get(options.key_variable) or "none",
            max_retries=options.retries,
            timeout=options.timeout,
        )

    @property
    def answered(self) -> list[Answer]:
        """The answers to all requests so far, each once however often it was put."""
        return list(self._answered.values())

    def metrics(self) -> dict[str, float]:
        """What all requests came to, whenever they were answered: the keys `endpoint/…` of metrics.json. Tokens that
        the endpoint does not count are left out."""
        read, written = ([getattr(each, name) for each in self.answered] for name in ("read", "written"))
        cost = self.cost(self.answered)
        return {
            "endpoint/requests": len(self.answered),
            **({} if None in read else {"endpoint/tokens_read": sum(read)}),
            **({} if None in written else {"endpoint/tokens_written": sum(written)}),
            **({} if cost is None else {"endpoint/cost": cost}),
        }

    def cost(self, answers: Iterable[Answer]) -> float | None:
        """What they cost, in the currency of the prices; None where these, or what was read, are not known."""
        if self.options.input_price is None or self.options.output_price is None:
            return None
        answers = list(answers)
        if any(each.read is None or each.written is None for each in answers):
            return None
        read, written = (sum(getattr(each, name) for each in answers) for name in ("read", "written"))
        return (read * self.options.input_price + written * self.options.output_price) / 1e6

    def ask(
        self, requests: Sequence[Request], anew: bool = False, estimate: bool = True, take: int = 1
    ) -> list[Answer]:
        """The answer to each request, from the cache where it is there. The first that is not is asked alone, and what
        all the others will cost is estimated from it, before they are asked.

        Args:
            anew: ask what was answered before, too.
            estimate: say what they will cost.
            take: the how-manieth answer to the same request is wanted.

        Raises:
            UserError: an endpoint that is not there, refuses, or would cost too much.
        """
        keys = [self._key(request, take) for request in requests]
        with Answers(self.cache) as store:
            known = {} if anew else store.get(keys)
            missing = {key: request for key, request in zip(keys, requests, strict=True) if key not in known}
            self._answered |= known
            if missing and estimate:
                first = next(iter(missing))
                known[first] = self._keep(store, first, self._fetch(missing[first]))
                self._estimate(missing, missing.pop(first), known[first], len(known) - 1)
            elif estimate:
                log.info("All %s answers were known.", f"{len(known):,}")
            with ThreadPoolExecutor(self.options.concurrency) as pool:
                waiting = {pool.submit(self._fetch, request): key for key, request in missing.items()}
                try:
                    bar = tqdm(as_completed(waiting), total=len(waiting), desc="asking", disable=not estimate)
                    for done in bar if waiting else ():
                        known[waiting[done]] = self._keep(store, waiting[done], done.result())
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    for done in waiting:  # what was under way has come meanwhile
                        if not done.cancelled() and done.exception() is None:
                            store.put(waiting[done], done.result())
                    raise
        return [known[key] for key in keys]

    def _keep(self, store: Answers, key: str, answer: Answer) -> Answer:
        self._answered[key] = answer
        return store.put(key, answer)

    def _estimate(self, missing: Mapping[str, Request], first: Request, answer: Answer, known: int) -> None:
        """Say what the missing answers will cost, as the first of them did."""
        share = sum(_characters(request) for request in missing.values()) / max(_characters(first), 1)
        priced = None not in (self.options.input_price, self.options.output_price)
        if priced and (not answer.read or answer.written is None):
            raise UserError(
                f"{self.url} does not say how many tokens it read, so that no cost can be estimated: leave out "
                "model.options.input_price, output_price and most_cost."
            )
        like = Answer("", (), round((answer.read or 0) * share), (answer.written or 0) * len(missing))
        cost = self.cost([like])
        log.info(
            "Asking '%s' %s times more, about %s tokens to read and %s to write%s; %s answers were known.",
            self.model,
            f"{len(missing):,}",
            f"{like.read:,}",
            f"{like.written:,}",
            "" if cost is None else f", for about {cost:.4g}",
            f"{known:,}",
        )
        if cost is not None and self.options.most_cost is not None and cost > self.options.most_cost:
            raise UserError(
                f"The answers would cost about {cost:.4g}, and model.options.most_cost={self.options.most_cost:g}: "
                f"raise it, or ask less (data.test_samples, task.shots, a shorter text). "
                f"Requests made so far: {len(self._answered):,}."
            )

    def _key(self, request: Request, take: int) -> str:
        whole = json.dumps([self.url, self.model, dict(request), dict(self.options.extra), take], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()

    def _fetch(self, request: Request) -> Answer:
        import openai

        to = self._client.chat.completions if "messages" in request else self._client.completions
        extra = self.options.extra
        fields = {name: value for name, value in request.items() if name not in extra}
        given = {name: value for name, value in extra.items() if value is not None}
        try:
            reply = to.create(model=self.model, **fields, extra_body=given)
            return answer_of(reply, request, self.url, self.model)
        except openai.APIConnectionError as error:  # a timeout is one
            raise UserError(
                f"Nothing answers at {self.url} (model.url) within {self.options.timeout:g} seconds: start the server, "
                "or give its address, as http://localhost:8000/v1."
            ) from error
        except openai.AuthenticationError as error:
            raise UserError(
                f"{self.url} wants a key: put it into the environment variable {self.options.key_variable} "
                "(model.options.key_variable)."
            ) from error
        except openai.APIStatusError as error:
            raise UserError(
                f"{self.url} refused a request for the model '{self.model}' with status {error.status_code}: "
                f"{_line(error)}. What was answered until then is kept."
            ) from error
        except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:
            raise UserError(
                f"{self.url} gave an answer for the model '{self.model}' that cannot be read ({_line(error)}): check "
                "model.url and model.path."
            ) from error


def _characters(request: Request) -> int:
    if "messages" in request:
        return sum(len(turn["content"]) for turn in request["messages"])
    return len(request["prompt"])


def _line(error: Exception) -> str:
    body = getattr(error, "body", None)
    said = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(said or error).split())[:300].rstrip(".")
