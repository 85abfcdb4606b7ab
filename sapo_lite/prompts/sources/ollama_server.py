"""Control of an Ollama server: check it, list models, pull a model, unload a model.

The client has no time-out of its own (it once hung for hours): every call here has one.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sapo_lite.errors import ParaphraseError
from sapo_lite.support.http import is_here

if TYPE_CHECKING:
    import ollama

HEALTH_TIMEOUT = 3.0  # s, for calls that generate no text
# s between reports. No total limit: download speed is unknown, and large files are verified without reports.
PULL_SILENCE = 300.0
UNLOAD_LIMIT = 30.0  # s
UNLOAD_POLL = 0.2  # s between looks at /api/ps

# Errors that the client raises on an unexpected body: bad JSON and failed validation
# (ValueError), JSON that is not an object (TypeError, or AttributeError from ResponseError itself).
GARBAGE = (ValueError, TypeError, AttributeError)


class OllamaServer:
    """The server at `url`, which has `patience` seconds (some at least) to say what it is and has."""

    def __init__(self, url: str, patience: float) -> None:
        self.url = url
        self._patience = max(HEALTH_TIMEOUT, patience)

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of a client of this server."""
        return {"host": self.url, "trust_env": not is_here(self.url)}

    def version(self) -> str:
        """The server's version. Raises ParaphraseError unless it is an Ollama server."""
        import httpx

        try:
            answer = httpx.get(
                f"{self.url}/api/version",
                timeout=httpx.Timeout(self._patience, connect=HEALTH_TIMEOUT),
                trust_env=not is_here(self.url),
            )
        except httpx.ReadTimeout:
            raise ParaphraseError(
                f"The server at {self.url} takes calls, and has not answered one to /api/version within "
                f"{self._patience:g} s (paraphrase.timeout). If it is Ollama, restart it with: ollama serve"
            ) from None
        except (httpx.RequestError, httpx.InvalidURL, UnicodeError):
            raise ParaphraseError(
                f"No Ollama server answers at {self.url}. {self._how_to_start()} "
                "(or name another server in paraphrase.host or OLLAMA_HOST; paraphrase.backend = "
                '"builtin" does without one).'
            ) from None
        except (ImportError, ValueError) as error:  # a SOCKS proxy without its package, an invalid URL
            raise ParaphraseError(
                f"The proxy in your environment cannot be used to reach {self.url}: {error}"
            ) from None
        try:
            return str(answer.raise_for_status().json()["version"])
        except (httpx.HTTPStatusError, *GARBAGE, KeyError):
            raise ParaphraseError(
                f"{self.url} answers, but not as an Ollama server (HTTP {answer.status_code} for "
                "/api/version). Correct paraphrase.host or OLLAMA_HOST."
            ) from None

    def _how_to_start(self) -> str:
        if is_here(self.url) and shutil.which("ollama") is None:
            return "Install Ollama from https://ollama.com/download, then start it with: ollama serve"
        return "Start it with: ollama serve"

    def has(self, model: str) -> bool:
        """Whether the server has the model. Raises ParaphraseError if it gives no answer."""
        import httpx
        import ollama

        try:
            with self._client(self._patience) as client:
                client.show(model)
        except ollama.ResponseError as error:
            if error.status_code == 404:
                return False
            raise self.refusal(model, error) from None
        except (ConnectionError, httpx.RequestError) as error:
            raise ParaphraseError(
                f"The Ollama server at {self.url} does not say whether it has {model} "
                f"({type(error).__name__}). Restart it with: ollama serve"
            ) from None
        except GARBAGE:
            pass  # success, with details that this client version cannot read: the model is there
        return True

    def digest(self, model: str) -> str | None:
        """Hash of the model's files; None where no server answers, or it lacks the model.

        If answers were saved, it is called before `version`, which is the one that says what is wrong.
        """
        import httpx
        import ollama

        try:
            with self._client(HEALTH_TIMEOUT / 2) as client:
                listed = client.list().models
        except (ConnectionError, httpx.HTTPError, ollama.ResponseError, httpx.InvalidURL, *GARBAGE):
            return None
        except ImportError:  # a SOCKS proxy lacks its package: `version` reports it
            return None
        return next((m.digest for m in listed if _same(m.model, model)), None)

    def pull(self, model: str) -> Iterator[tuple[str, int, int]]:
        """Let the server download the model; yields (layer digest, bytes done, total bytes) for each report.

        Raises:
            ParaphraseError: the download failed.
        """
        import httpx
        import ollama

        status: str | None = None
        try:
            with self._client(PULL_SILENCE) as client:
                for report in client.pull(model, stream=True):
                    status = report.status
                    if report.digest and report.total:
                        yield report.digest, report.completed or 0, report.total
            if status != "success":
                raise ConnectionError  # the stream ended before the download
        except ollama.ResponseError as error:
            raise ParaphraseError(f'Ollama at {self.url} cannot fetch "{model}": {error.error}') from None
        except (ConnectionError, httpx.RequestError, *GARBAGE) as error:
            raise ParaphraseError(
                f'Ollama at {self.url} stopped fetching "{model}" ({type(error).__name__}). Start the same '
                "command again: what is there is kept."
            ) from None

    def unload(self, model: str, *, wait: bool = True) -> str | None:
        """Let the server unload the model, and wait until it has. Returns a notice if it has not.

        It does not raise if the server is gone: a run need not fail for that.
        """
        import httpx
        import ollama

        try:
            with self._client(HEALTH_TIMEOUT) as client:
                client.generate(model, keep_alive=0)
                if not wait or self._is_gone(client, model):
                    return None
            trouble = f"still lists it {UNLOAD_LIMIT:g} s later"
        except (ConnectionError, httpx.RequestError):
            trouble = "does not answer"
        except (ollama.ResponseError, *GARBAGE) as error:
            trouble = f"answered: {error}"
        return (
            f"Ollama at {self.url} was asked to unload {model} and {trouble}. "
            f"If memory is short, free it with: ollama stop {model}"
        )

    def _is_gone(self, client: ollama.Client, model: str) -> bool:
        """Whether the server removes the model from its list within UNLOAD_LIMIT seconds."""
        give_up = time.monotonic() + UNLOAD_LIMIT
        while any(_same(loaded.model, model) for loaded in client.ps().models):
            if time.monotonic() > give_up:
                return False
            time.sleep(UNLOAD_POLL)
        return True

    def missing(self, model: str) -> ParaphraseError:
        return ParaphraseError(
            f'The Ollama server at {self.url} does not have the model "{model}". '
            f"Fetch it there with: ollama pull {model} (or add --pull to this command)"
        )

    def refusal(self, model: str, error: ollama.ResponseError) -> ParaphraseError:
        """The server's refusal to run the model, in plain words."""
        if error.status_code == 404:
            return self.missing(model)
        return ParaphraseError(
            f'Ollama at {self.url} cannot run "{model}" (HTTP {error.status_code}): {error.error}'
        )

    def _client(self, timeout: float) -> ollama.Client:
        """A client whose calls end after `timeout` seconds without data."""
        import ollama

        return ollama.Client(timeout=timeout, **self.options)


def _same(listed: str | None, model: str) -> bool:
    """Whether the server's name `listed` means the user's `model`."""
    name = model if ":" in model.rpartition("/")[2] else f"{model}:latest"
    return (listed or "").lower() == name.lower()


def resolve_host(host: str | None) -> str:
    """The server's full URL, from the recipe's host, else OLLAMA_HOST, else the local default.

    Two spellings are corrected that the client takes literally: 0.0.0.0 is an address to listen on, not to
    call, and `http://host` without a port means Ollama's 11434 and not 80.

    Raises:
        ParaphraseError: it is not an address.
    """
    address = (host or os.environ.get("OLLAMA_HOST") or "").strip().strip("\"'")
    fault = ParaphraseError(
        f'"{address}" is no address of an Ollama server: expected something like 127.0.0.1:11434 '
        "in paraphrase.host or OLLAMA_HOST."
    )
    try:
        if "://" not in address and "[" not in address and address.count(":") > 1:
            address = f"[{address}]"  # a bare IPv6 address
        parts = urlsplit(address if "://" in address else f"http://{address}")
        port = parts.port or (443 if parts.scheme == "https" else 11434)
    except ValueError:
        raise fault from None
    if parts.scheme not in {"http", "https"}:
        raise fault
    name = parts.hostname or "127.0.0.1"
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)
    bracketed = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{bracketed}:{port}{parts.path.rstrip('/')}"
