"""conf/model and conf/adaptation."""

from dataclasses import field
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from llmimg.errors import UserError
from llmimg.paths import local_path
from llmimg.settings import Above0, Positive, build, settings_of

Rate = Annotated[float, Field(ge=0, lt=1)]
Price = Annotated[float, Field(ge=0)]


@settings_of("model")
class ModelSettings:
    """Which model reads the text: one from scratch of a given shape, or a pretrained one.

    Attributes:
        name: as in the file's name.
        kind: `language`, `image` (it sees pixels), `baseline` (what needs no Trainer), or `endpoint` (a language model
            that is asked over the network).
        architecture: a file's entry in `llmimg.models.scratch` to start from scratch, `resnet` or `vit`, or the name of
            a baseline; null is pretrained.
        init: a baseline: a pretrained model's weights as they are (`pretrained`), drawn anew as its makers did
            (`random`), or each tensor's values in another order (`shuffled`).
        path: the pretrained model: a hub id, a local folder, a GGUF file, a run's folder; or an endpoint's name of it.
        url: of an OpenAI-compatible endpoint, as `http://localhost:8000/v1`.
        tokenizer: whose tokenizer `vocabulary=reuse` and `extend` take where the model has none: a hub id or a local
            folder.
        gguf_file: the name of the GGUF file in `path`.
        revision: the hub's branch, tag or commit.
        positions: how many tokens a pretrained model is to read, where that is more than it can: learned positions go
            on with new ones, drawn with the spread of the old. null leaves it as it is.
        layers, width, heads: the shape from scratch.
        dropout: the rate of every dropout from scratch, 0 to 1.
        embeddings: where those of a model from scratch begin: at `random`, or as the `appearance` of what a token
            stands for (a random projection of its colours or its patch), and positions as sums of a row and a column.
        initializer_range: standard deviation of the initial weights from scratch.
        dtype: of the weights: `float32` (which mixed precision wants too), `bfloat16` or `float16`.
        bits: how the linear layers of a pretrained model are kept: in 8 bits (LLM.int8: Dettmers et al., NeurIPS 2022)
            or 4 (NF4 of QLoRA: Dettmers et al., NeurIPS 2023); only adapters can learn then. null is as `dtype` says.
            Needs bitsandbytes.
        options: settings of a baseline, an image model or an endpoint that others do not have.
    """

    name: str
    kind: Literal["language", "image", "baseline", "endpoint"] = "language"
    architecture: str | None = None
    init: Literal["pretrained", "random", "shuffled"] = "pretrained"
    path: str | None = None
    url: str | None = None
    tokenizer: str | None = None
    gguf_file: str | None = None
    revision: str | None = None
    positions: Positive | None = None
    layers: Positive = 2
    width: Positive = 64
    heads: Positive = 4
    dropout: Rate = 0.0
    embeddings: Literal["random", "appearance"] = "random"
    initializer_range: Annotated[float, Field(ge=0)] = 0.1
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    bits: Literal[4, 8] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if self.options and self.kind == "language":
            raise UserError("model.options are for baselines, image models and endpoints: a language model has none.")
        if self.kind == "endpoint":
            build(EndpointOptions, self.options)
            if not self.path or not _is_address(self.url or ""):
                raise UserError(
                    f"The model '{self.name}' is asked over the network: give model.url= its address, as "
                    "http://localhost:8000/v1, and model.path= its name there."
                )
        if self.url and self.kind != "endpoint":
            raise UserError(f"model.url is an endpoint's, and '{self.name}' is none: take model=endpoint.")
        if self.init != "pretrained" and self.architecture is not None:
            raise UserError(f"model.init={self.init} is a baseline for pretrained models, and '{self.name}' is none.")
        if self.embeddings == "appearance" and self.kind != "baseline" and (self.pretrained or self.kind != "language"):
            raise UserError(
                f"model.embeddings=appearance is for language models from scratch, and '{self.name}' is none: leave it "
                "out, or take model=gpt2_tiny."
            )
        if self.bits and (self.architecture is not None or self.init != "pretrained" or self.location[1]):
            raise UserError(
                "model.bits keeps a pretrained model's weights in fewer bits: leave it out from scratch, with "
                "model.init, and with a GGUF file, which is unpacked."
            )
        if self.positions is not None and (not self.pretrained or self.kind != "language" or self.bits):
            raise UserError(
                "model.positions gives a pretrained language model more of them: leave it out from scratch, where the "
                "data decide, with model.bits, and for what is no such model."
            )
        if self.width % self.heads:
            raise UserError(
                f"model.width={self.width} is not a multiple of model.heads={self.heads}: change one of them."
            )
        if self.path is None and self.architecture is None:
            raise UserError(
                f"The model '{self.name}' is pretrained and has no path: give model.path= a hub id or a folder."
            )

        if self.path and self.architecture is not None:
            raise UserError(
                f"model.path={self.path} would be passed over: the model '{self.name}' starts from scratch. Take "
                "model=pretrained."
            )
        if self.path and self.path.endswith(".gguf") and not local_path(self.path).is_file():
            raise UserError(f"There is no GGUF file {self.path} (model.path): check where it is.")

    @property
    def pretrained(self) -> bool:
        return self.architecture is None

    @property
    def known_location(self) -> tuple[str, str | None]:
        """`location`, of a model that has files.

        Raises:
            UserError: it has none.
        """
        path, gguf_file = self.location
        if path is None:
            raise UserError(f"The model '{self.name}' has no weights to load: say which with model.path=.")
        return path, gguf_file

    @property
    def location(self) -> tuple[str | None, str | None]:
        """Where the model's files are: (hub id or folder, GGUF file in it). A run's folder stands for the model in
        it."""
        if self.path is None:
            return None, None
        path = local_path(self.path)
        if path.suffix == ".gguf" and self.gguf_file is None:
            return str(path.parent), path.name
        if (path / "model" / "config.json").is_file():
            return str(path / "model"), self.gguf_file
        return str(path), self.gguf_file


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


@settings_of("model.options")
class EndpointOptions:
    """`model.options` of conf/model/endpoint.yaml.

    Attributes:
        key_variable: the environment variable that holds the endpoint's key; local servers need none.
        concurrency: requests under way at once.
        retries: of a request that fails for a reason that may pass, each after a longer pause.
        timeout: seconds until a request counts as failed.
        input_price, output_price: of a million tokens read and written, in whatever currency; null is not known.
        most_cost: an estimate above this is refused; null refuses none.
        extra: further fields of every request; null takes one out (`{max_tokens: null, max_completion_tokens: 500}`).
    """

    key_variable: str = "OPENAI_API_KEY"
    concurrency: Positive = 8
    retries: Annotated[int, Field(ge=0)] = 5
    timeout: Annotated[float, Field(ge=0.001)] = 120.0
    input_price: Price | None = None
    output_price: Price | None = None
    most_cost: Price | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if self.most_cost is not None and None in (self.input_price, self.output_price):
            raise UserError(
                "model.options.most_cost needs input_price and output_price: give what a million tokens cost."
            )


@settings_of("adaptation")
class AdaptationSettings:
    """conf/adaptation.

    Attributes:
        name: `full`; `lora` (low-rank adapters: Hu et al., ICLR 2022); `frozen` (norms, positions, embeddings and head:
            Lu et al., "Pretrained Transformers as Universal Computation Engines", AAAI 2022); `head`; or `none`.
        rank: of the adapters.
        alpha: the adapters' change is scaled by alpha / rank.
        dropout: before the adapters, 0 to 1.
        save: `merged` adds the adapters to the weights they adapt; `adapters` saves them alone, beside the name of the
            model they belong to.
    """

    name: Literal["full", "lora", "frozen", "head", "none"] = "full"
    rank: Positive = 8
    alpha: Above0 = 16.0
    dropout: Rate = 0.0
    save: Literal["merged", "adapters"] = "merged"
