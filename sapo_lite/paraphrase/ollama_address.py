"""Where the Ollama server is: `paraphrase.host` and OLLAMA_HOST in all their spellings."""

import os
from urllib.parse import urlsplit

from sapo_lite.errors import ParaphraseError


def resolve_host(host: str | None) -> str:
    """The server's full URL, from the recipe's host, else OLLAMA_HOST, else the local default.

    Two spellings are mended that the client takes literally: 0.0.0.0 is an address to listen on, not
    to call, and `http://host` without a port means Ollama's 11434 rather than 80. Raises
    ParaphraseError if it is no address.
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
