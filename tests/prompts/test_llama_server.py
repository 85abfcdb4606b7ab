"""llama.cpp's own server with SmolLM2: a real chat model behind the OpenAI protocol.

The server is the program of SAPO_LITE_LLAMA_SERVER, or `llama-server` on the PATH.
"""

import io
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from sapo_lite.model.gguf_names import SMOLLM2, gguf_path
from sapo_lite.prompts.make import make_pools
from sapo_lite.prompts.sources.openers import SourceContext
from sapo_lite.recipe import ParaphraseConfig
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.support.files import read_json
from sapo_lite.types import Task

pytestmark = [pytest.mark.slow, pytest.mark.real_model]

ANSWERS = 6
TASK = Task(
    "reviews",
    "",
    "You are given a review that a customer has written about a product. Your task is to decide whether the "
    "customer would buy it again, and to say why.",
    "",
    (),
    "en",
    (),
    (),
)


@pytest.fixture
def base_url(smollm2: Path) -> Iterator[str]:
    """Address of a llama-server with SmolLM2, which is told to stop at 120 tokens."""
    program = shutil.which(os.environ.get("SAPO_LITE_LLAMA_SERVER", "llama-server"))
    if program is None:
        pytest.skip("no llama-server: put llama.cpp's on the PATH, or name it in SAPO_LITE_LLAMA_SERVER")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"--host 127.0.0.1 --port {port} --threads 2 --parallel 2 --ctx-size 4096 --predict 120"
    arguments = [program, "--model", str(gguf_path(SMOLLM2)), *options.split()]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until_loaded(server, f"http://127.0.0.1:{port}/health")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()


def wait_until_loaded(server: "subprocess.Popen[bytes]", health: str) -> None:
    deadline = time.monotonic() + 120
    while server.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(health, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(f"llama-server ended with {server.poll()}, or does not answer at {health}")


def test_a_real_server_is_asked_and_its_answers_are_judged_shown_and_kept(
    base_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path))
    shown = io.StringIO()
    config = ParaphraseConfig(
        backend="openai", base_url=base_url, model=SMOLLM2, count=ANSWERS, attempts=1, minimum=0, parallel=2
    )
    display = PlainDisplay(Console(file=shown, width=200), pause=0.0)
    [pool] = make_pools([TASK], config, SourceContext(display))
    assert len(pool.texts) + len(pool.rejected) == ANSWERS
    assert pool.texts  # how many are good: docs/paraphrasing.md
    assert {candidate.origin for candidate in pool.candidates[1:]} == {"openai"}
    reasons = [rejection.reason for rejection in pool.rejected]
    assert "unreadable answer" not in reasons
    assert f"{len(pool.texts)} of {ANSWERS} paraphrases" in shown.getvalue()
    [file] = (tmp_path / "paraphrases").iterdir()
    saved = read_json(file)["answers"].values()
    assert all(any(text in answer for answer in saved) for text in pool.texts)
