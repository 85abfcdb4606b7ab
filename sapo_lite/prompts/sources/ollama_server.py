"""Control of an Ollama server: check it, list models, pull a model, unload a model.

The client has no time-out of its own (it once hung for hours): every call here has one, and but for
`pull` one in all.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sapo_lite.errors import ParaphraseError
from sapo_lite.support.bounded_http import GARBAGE, client_options, within
from sapo_lite.support.http import is_here
from sapo_lite.support.offline import is_forbidden

if TYPE_CHECKING:
    import ollama

HEALTH_TIMEOUT = 3.0  # s, for calls that generate no text
# s between reports. No total limit: download speed is unknown, and large files are verified without reports.
PULL_SILENCE = 300.0
UNLOAD_LIMIT = 30.0  # s
UNLOAD_POLL = 0.2  # s between looks at /api/ps


class OllamaServer:
    """The server at `url`, which has `patience` seconds (some at least) to say what it is and has."""

    def __init__(self, url: str, patience: float) -> None:
        self.url = url
        self._patience = max(HEALTH_TIMEOUT, patience)

    def client(self, timeout: float) -> ollama.AsyncClient:
        """A client whose calls end after `timeout` seconds without data."""
        import ollama

        return ollama.AsyncClient(self.url, timeout=timeout, **client_options(self.url))

    def version(self) -> str:
        """The server's version. Raises ParaphraseError unless it is an Ollama server."""
        import httpx

        async def ask() -> httpx.Response:
            limit = httpx.Timeout(self._patience, connect=HEALTH_TIMEOUT)
            async with httpx.AsyncClient(timeout=limit, **client_options(self.url)) as client:
                return await client.get(f"{self.url}/api/version")

        try:
            answer = within(self._patience, ask)
        except (TimeoutError, httpx.ReadTimeout):
            raise ParaphraseError(
                f"The server at {self.url} takes calls, and has not answered one to /api/version within "
                f"{self._patience:g} s (paraphrase.timeout). If it is Ollama, restart it with: ollama serve"
            ) from None
        except httpx.DecodingError as error:
            raise ParaphraseError(
                f"{self.url} answers, but not as an Ollama server (/api/version: {error}). "
                "Correct paraphrase.host or OLLAMA_HOST."
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

        async def ask() -> None:
            async with self.client(self._patience) as client:
                await client.show(model)

        try:
            within(self._patience, ask)
        except ollama.ResponseError as error:
            if error.status_code == 404:
                return False
            raise self.refusal(model, error) from None
        except (ConnectionError, TimeoutError, httpx.RequestError) as error:
            late = isinstance(error, TimeoutError | httpx.TimeoutException)
            why = f"no answer within {self._patience:g} s" if late else type(error).__name__
            raise ParaphraseError(
                f"The Ollama server at {self.url} does not say whether it has {model} ({why}). "
                "Restart it with: ollama serve"
            ) from None
        except GARBAGE:
            pass  # success, with details that this client version cannot read: the model is there
        return True

    def digest(self, model: str) -> str | None:
        """Hash of the model's files; None where no server answers, or it lacks the model.

        If answers were saved, it is called before `version`, which is the one that says what is wrong.
        """
        if is_forbidden(self.url):
            return None
        return next((m.digest for m in self._listed() if _same(m.model, model)), None)

    def models(self) -> list[str]:
        """Names of the models that the server has; none where it does not say."""
        return [name for own in self._listed() if (name := own.model)]

    def _listed(self) -> Sequence[ollama.ListResponse.Model]:
        """The models of the server; none where no server answers, or not as one."""
        import httpx
        import ollama

        limit = HEALTH_TIMEOUT / 2

        async def ask() -> Sequence[ollama.ListResponse.Model]:
            async with self.client(limit) as client:
                return (await client.list()).models

        try:
            return within(limit, ask)
        except (
            ConnectionError,
            TimeoutError,
            httpx.HTTPError,
            ollama.ResponseError,
            httpx.InvalidURL,
            *GARBAGE,
        ):
            return ()
        except ImportError:  # a SOCKS proxy lacks its package: `version` reports it
            return ()

    def pull(self, model: str) -> Iterator[tuple[str, int, int]]:
        """Let the server download the model; yields (layer digest, bytes done, total bytes) for each report.

        Raises:
            ParaphraseError: the download failed.
        """
        import httpx
        import ollama

        status: str | None = None
        try:
            options = {"trust_env": not is_here(self.url), "follow_redirects": False}
            with ollama.Client(self.url, timeout=PULL_SILENCE, **options) as client:
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
        import anyio
        import httpx
        import ollama

        async def ask() -> bool:
            async with self.client(HEALTH_TIMEOUT) as client:
                with anyio.fail_after(HEALTH_TIMEOUT):
                    await client.generate(model, keep_alive=0)
                return not wait or await _is_gone(client, model)

        try:
            if within(2 * HEALTH_TIMEOUT + UNLOAD_LIMIT, ask):
                return None
            trouble = f"still lists it {UNLOAD_LIMIT:g} s later"
        except (ConnectionError, TimeoutError, httpx.RequestError):
            trouble = "does not answer"
        except (ollama.ResponseError, *GARBAGE) as error:
            trouble = f"answered: {error}"
        return (
            f"Ollama at {self.url} was asked to unload {model} and {trouble}. "
            f"If memory is short, free it with: ollama stop {model}"
        )

    def missing(self, model: str) -> ParaphraseError:
        return ParaphraseError(
            f'The Ollama server at {self.url} does not have the model "{model}". '
            f"Fetch it there with: ollama pull {model} (or add --pull to this command)"
        )

    def refusal(self, model: str, error: ollama.ResponseError) -> ParaphraseError:
        """The server's refusal to run the model, in plain words."""
        if error.status_code == 404:
            return self.missing(model)
        if 300 <= error.status_code < 400:
            return ParaphraseError(
                f"{self.url} sends calls on to another address (HTTP {error.status_code}). They are not sent "
                "there, as they hold the instructions; if that is meant, name it in paraphrase.host."
            )
        return ParaphraseError(
            f'Ollama at {self.url} cannot run "{model}" (HTTP {error.status_code}): {error.error}'
        )


async def _is_gone(client: ollama.AsyncClient, model: str) -> bool:
    """Whether the server removes the model from its list within UNLOAD_LIMIT seconds."""
    import anyio

    give_up = time.monotonic() + UNLOAD_LIMIT
    while time.monotonic() <= give_up:
        with anyio.fail_after(HEALTH_TIMEOUT):
            listed = (await client.ps()).models
        if not any(_same(loaded.model, model) for loaded in listed):
            return True
        await anyio.sleep(UNLOAD_POLL)
    return False


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
