"""Checks of what is outside Python: memory, disk, data, keys, Ollama."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from sapo_lite.data.suite import find_suite
from sapo_lite.errors import DataError, ParaphraseError
from sapo_lite.prompts.sources.ollama_server import OllamaServer, resolve_host
from sapo_lite.recipe import SequenceConfig
from sapo_lite.run.doctor.check import Check, ok
from sapo_lite.support.disk import free_bytes, in_words
from sapo_lite.support.offline import is_forbidden

_LITTLE_MEMORY, _LITTLE_DISK = 2 * 10**9, 10 * 10**9
_FULL_DISK = 10**9
# What each key is for; keys are never shown.
_KEYS = {"HF_TOKEN": "models with a licence to accept", "OPENAI_API_KEY": "openai", "WANDB_API_KEY": "wandb"}
_SUITES = ("SUPERNI", "TRACE")
_PATIENCE = 3.0  # seconds that an Ollama server has to answer


def surroundings() -> Iterator[Check]:
    yield memory()
    yield disk()
    yield data()
    yield keys()
    yield ollama()


def memory() -> Check:
    here = psutil.virtual_memory()
    found = f"{here.available / 1e9:.1f} of {here.total / 1e9:.1f} GB free, {os.cpu_count()} cores"
    if here.available < _LITTLE_MEMORY:
        return Check("memory", "warn", found, "Close other programs: the lab alone takes 0.8 GB.")
    return ok("memory", found)


def disk() -> Check:
    """Room for runs, and for models in the hub's cache."""
    places = {"here": Path.cwd(), "for models": _hub_cache()}
    rooms = {name: room for name, path in places.items() if (room := free_bytes(path)) is not None}
    found = ", ".join(f"{in_words(room)} {name}" for name, room in rooms.items())
    least = min(rooms.values(), default=_LITTLE_DISK)
    if least < _FULL_DISK:
        return Check("disk", "fail", f"{found} are free", "Make room: adapters and answers are written.")
    if least < _LITTLE_DISK:
        fix = "A model of 8 billion weights takes 16 GB in 16 bits; HF_HOME names another disk for models."
        return Check("disk", "warn", f"{found} are free", fix)
    return ok("disk", f"{found} are free")


def _hub_cache() -> Path:
    """The hub's cache, by the variables that its library reads; it is not imported for this."""
    home = os.environ.get("HF_HOME") or os.environ.get("XDG_CACHE_HOME", "~/.cache") + "/huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or home).expanduser()


def data() -> Check:
    """The published suites, and where they are."""
    found, missing = list[str](), list[str]()
    for name in _SUITES:
        try:
            found.append(f"{name} in {find_suite(SequenceConfig(suite=name, tasks=('any',)), None).parent}")
        except DataError:
            missing.append(name)
    here = ", ".join(["the lab", *found])
    if missing:
        fetch = " and ".join(f"`sapo-lite data fetch {name.lower()}`" for name in missing)
        return Check("data", "warn", f"{here}; no {' and no '.join(missing)}", f"For their recipes: {fetch}.")
    return ok("data", here)


def keys() -> Check:
    """Which keys are in the environment; never what they are."""
    present = [f"{name} ({use})" for name, use in _KEYS.items() if os.environ.get(name, "").strip()]
    return ok("keys", ", ".join(present) or f"none of {', '.join(_KEYS)}; the recipes shipped need none")


def ollama() -> Check:
    """Whether an Ollama server answers, and with which models."""
    try:
        url = resolve_host(None)
        if is_forbidden(url):
            return ok("Ollama", f"{url} is not asked: work is offline")
        server = OllamaServer(url, _PATIENCE)
        version = server.version()
        models = server.models()
    except ParaphraseError as error:
        fix = 'Only recipes with paraphrase.backend = "ollama" need it.'
        return Check("Ollama", "warn", str(error).split(" (or name another", 1)[0], fix)
    if not models:
        return Check(
            "Ollama", "warn", f"version {version} at {url}, no models", "Run `ollama pull qwen3:8b`."
        )
    return ok("Ollama", f"version {version} at {url} with {', '.join(models)}")
