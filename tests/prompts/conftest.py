"""Fixtures of the tests that call chat servers on loopback."""

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sapo_lite.prompts.sources import concurrent, ollama_server

CONTEXT = ssl.create_default_context()


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Answers are kept here; waits are short; the environment names no server, proxy or key."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("OLLAMA_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "cache"))
    # Loading certificates for every client takes longer than anything else here.
    monkeypatch.setattr(ssl, "create_default_context", lambda **_: CONTEXT)
    monkeypatch.setattr(concurrent, "BACKOFF", (0.01, 0.01))
    monkeypatch.setattr(ollama_server, "HEALTH_TIMEOUT", 0.5)
    monkeypatch.setattr(ollama_server, "UNLOAD_LIMIT", 0.2)
    monkeypatch.setattr(ollama_server, "UNLOAD_POLL", 0.01)
    return tmp_path / "cache"


@pytest.fixture
def nothing_left_behind(cache: Path) -> Iterator[None]:
    """No thread; those of the servers end when their clients have hung up."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(2)
    assert set(threading.enumerate()) <= before


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as listener:  # bound and not listening: nobody else can take it meanwhile
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]
