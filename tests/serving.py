"""A small server for tests, which speaks as OpenAI's endpoints do, with a real model behind it."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator

import torch


class Server(http.server.ThreadingHTTPServer):
    """A model and its tokenizer behind /v1/completions and /v1/chat/completions.

    Attributes:
        seen: the bodies of all requests.
        failing: statuses that the next requests are answered with.
        silent: whether it keeps log-probabilities to itself; of what it was given only, where this is "prompt".
        bare: whether nothing begins its texts, so that their first token has no probability.
        late: whether log-probabilities of a prompt are taken one token too late, as llama-cpp-python takes them.
        noise: nats that its log-probabilities are moved by, up and down from request to request.
        certain: whether what it writes has the log-probability 0, as after a temperature of 0.
        counts: whether it says how many tokens a request had.
        window: the tokens it reads of a prompt, at most.
        says: what it writes, where that is given; a list, what it writes one after the other.
        finish: why it stops.
        name: the model that it says it is.
        choice, top: further fields of its choice, and of its whole reply.
        raw: what it answers everything with, where that is given.
    """

    daemon_threads = True

    def __init__(self, model, tokenizer):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model, self.tokenizer, self.lock = model, tokenizer, threading.Lock()
        self.reset()

    def reset(self):
        self.bare = self.silent = self.late = self.certain = False
        self.seen, self.failing, self.choice, self.top = [], [], {}, {}
        self.says, self.raw, self.window, self.finish, self.name = None, None, None, "stop", "tiny"
        self.counts, self.noise = True, 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def asked(self) -> list[dict]:
        """The requests about images, each once: without those that try the server."""
        kept = {json.dumps(body): body for body in self.seen if "zebra" not in str(body) and "quiet" not in str(body)}
        return list(kept.values())

    def said(self) -> str | None:
        if isinstance(self.says, list):
            return self.says[len(self.seen) % len(self.says)]
        return self.says

    @torch.no_grad()
    def completion(self, body: dict) -> tuple[dict, int]:
        prompt = body["prompt"]
        encoded = self.tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)
        ids, ends = encoded["input_ids"], [end for _, end in encoded["offset_mapping"]]
        framed = self.tokenizer(prompt)["input_ids"]
        front = framed[: next(index for index in range(len(framed) + 1) if framed[index : index + len(ids)] == ids)]
        told = [
            *self.tokenizer.convert_ids_to_tokens(front),
            *(prompt[a:b] for a, b in zip([0, *ends], ends, strict=False)),
        ]
        given = [*front, *ids]
        if self.says is not None:
            return {"text": prompt * bool(body.get("echo")) + self.said(), "logprobs": None}, len(given)
        rows = self.model(torch.tensor([given])).logits[0].log_softmax(dim=-1)
        late = int(self.late)
        values = [None, *(float(rows[index - 1 + late, token]) for index, token in enumerate(given) if index)]
        if self.bare:
            told, values = told[len(front) :], [None, *values[len(front) + 1 :]]
        written = self._written(given, body, rows[-1])
        names, probabilities = [name for name, _ in written], [value for _, value in written]
        if not body.get("echo") or self.silent == "prompt":
            told, values = [], []
        shift = self.noise * (-1) ** len(self.seen)
        values = [None if value is None else min(0.0, value + shift) for value in [*values, *probabilities]]
        logprobs = {"tokens": [*told, *names], "token_logprobs": values}
        logprobs["text_offset"] = [0] * len(values)  # servers differ in what they count from
        choice = {
            "text": prompt * bool(body.get("echo")) + "".join(names),
            "logprobs": logprobs if body.get("logprobs") and self.silent is not True else None,
        }
        return choice, len(given)

    def _written(self, given: list[int], body: dict, row: torch.Tensor) -> list[tuple[str, float]]:
        given, written = list(given), []
        draw = torch.Generator().manual_seed(len(given))
        while len(written) < min(body.get("max_tokens") or 1, 8):
            if written:
                row = self.model(torch.tensor([given])).logits[0, -1].log_softmax(dim=-1)
            token = int(torch.multinomial(row.exp(), 1, generator=draw) if body.get("temperature") else row.argmax())
            name = self.tokenizer.convert_ids_to_tokens(token)
            for shown, meant in (("▁", " "), ("Ġ", " "), ("Ċ", "\n")):
                name = name.replace(shown, meant)
            written.append((name, 0.0 if self.certain and not body.get("temperature") else float(row[token])))
            given.append(token)
        return written


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.seen.append(body)
            status = server.failing.pop(0) if server.failing else 200
            if status != 200:
                return self._send(status, {"error": {"message": "not now", "type": "test"}})
            if "messages" in body:
                read = sum(len(turn["content"].split()) for turn in body["messages"])
                choice = {"message": {"role": "assistant", "content": server.said()}}
            else:
                choice, read = server.completion(body)
            choice = {**choice, "index": 0, "finish_reason": server.finish, **server.choice}
            read = min(read, server.window or read)
            counts = (
                {"prompt_tokens": read, "completion_tokens": 2, "total_tokens": read + 2} if server.counts else None
            )
            self._send(200, {"choices": [choice], "usage": counts, "model": server.name, **server.top})
        return None

    def _send(self, status: int, body: dict) -> None:
        whole = {"id": "1", "object": "x", "created": 0, **body}
        content = (self.server.raw or json.dumps(whole)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if content.startswith(b"<") else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        """Tests print nothing."""


@contextlib.contextmanager
def serving(model, tokenizer) -> Iterator[Server]:
    """Serve a model while the block lasts."""
    with Server(model, tokenizer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
