"""A run of a random model from a folder, the same model behind a server, and runs that ask it."""

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.serving import Server, serving

SERVED = ("adaptation=none", "task.shots=2", "data.test_samples=12")


@pytest.fixture(scope="module")
def served() -> tuple[str, ...]:
    """Settings of both runs."""
    return SERVED


@pytest.fixture(scope="module")
def local(run):
    return run("local", *SERVED, "readout=score")


@pytest.fixture(scope="module")
def running(local):
    model = AutoModelForCausalLM.from_pretrained(local / "model").eval()
    with serving(model, AutoTokenizer.from_pretrained(local / "model")) as server:
        yield server


@pytest.fixture
def server(running) -> Server:
    running.reset()
    return running


@pytest.fixture
def ask(run, server, tmp_path):
    """(name, settings) → the folder of a run that asks the server, with answers of its own."""

    def asked(name: str, *overrides: str):
        there = ("model=endpoint", f"model.url={server.url}", "model.path=tiny", "model.options.retries=2")
        return run(f"{tmp_path.name}-{name}", *SERVED, *there, f"tokens.cache_dir={tmp_path}", *overrides)

    return asked
