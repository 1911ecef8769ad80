"""What is seen of a run while it lasts."""

import contextlib
import io
import logging
import os
import pty
import re
import sys
import threading
from pathlib import Path

import pytest
from transformers import TrainerState

from llmimg.carry_out import carry_out
from llmimg.tasks.measure import Measure
from llmimg.training.progress import Counter, Losses

pytestmark = pytest.mark.usefixtures("one_thread")


@contextlib.contextmanager
def terminal():
    """A pseudo-terminal instead of standard error; gives what is written to it, when it is closed."""
    main, other = pty.openpty()
    written = io.BytesIO()

    def listen() -> None:
        with contextlib.suppress(OSError):  # nobody writes any more
            while read := os.read(main, 65_536):
                written.write(read)

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        with pytest.MonkeyPatch.context() as patch, os.fdopen(other, "w", buffering=1) as screen:
            patch.setattr(sys, "stderr", screen)
            yield lambda: written.getvalue().decode()
    finally:
        listener.join()
        os.close(main)


def test_a_terminal_has_bars(composed):
    settings = composed("seen", "textify.levels=8")
    del settings["trainer"]["disable_tqdm"]
    with terminal() as said:
        carry_out(settings)
    assert re.search(r"Training: 100%.* 4/4 \[\d\d:\d\d<\d\d:\d\d, .*loss=\d.*val loss=\d", said())
    assert re.search(r"Evaluating: 100%.*batch", said())
    assert "train images as text" in said()


def test_a_terminal_has_none_where_they_are_not_wanted(composed):
    with terminal() as said:
        carry_out(composed("unseen", "textify.levels=4"))
    assert "%" not in said()


def test_the_run_s_log_holds_the_losses(run):
    log = (run("noted") / "run.log").read_text()
    assert len(re.findall(r"step \d of 4: loss \d\.\d+", log)) == 4
    assert re.search(r"step 4 of 4: validation accuracy [\d.]+, validation loss [\d.]+", log)


def test_of_each_task_the_headline_is_noted(caplog):
    log, state = logging.getLogger("llmimg"), TrainerState(global_step=1, max_steps=2)
    log.addHandler(caplog.handler)
    with caplog.at_level(logging.DEBUG, "llmimg"):
        logs = {"eval_map": 0.5, "eval_recall": 0.25, "eval_loss": 1.5}
        Losses(Measure("map", "AP", "")).on_log(None, state, None, logs=logs)
    log.removeHandler(caplog.handler)
    assert [each.getMessage() for each in caplog.records] == ["step 1 of 2: validation AP 0.5, validation loss 1.5"]


def test_a_log_file_has_a_line_now_and_then(composed, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    settings = composed("logged", "trainer.disable_tqdm=false")
    carry_out(settings)
    log = (Path(settings["run_dir"]) / "run.log").read_text()
    assert re.search(r"Training: step 4 of 4 · loss \S+ · val loss \S+ .*a second", log)
    assert sys.stderr.getvalue().count("Training") == 0


def test_lines_are_rare(monkeypatch, caplog):
    now = 0.0
    monkeypatch.setattr("time.perf_counter", lambda: now)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    log = logging.getLogger("llmimg")
    log.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO, "llmimg"):
        counter = Counter("Training", 86_400)
        for _ in range(86_400):
            now += 1.0
            counter.count()
    log.removeHandler(caplog.handler)
    lines = [record.getMessage() for record in caplog.records]
    assert 50 < len(lines) < 500
    assert lines[0] == "Training: step 11 of 86,400 · 1 a second · 23:59:49 left."
