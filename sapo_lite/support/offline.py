"""Offline work, by --offline or SAPO_LITE_OFFLINE=1: no connection but to servers on this machine."""

import os
import sys

from sapo_lite.support.http import is_here

VARIABLE = "SAPO_LITE_OFFLINE"
# For messages: what asked for it.
ASKED = f"--offline (or {VARIABLE})"
# Names of huggingface_hub and datasets; read when these are imported.
_OF_LIBRARIES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")


def is_offline() -> bool:
    return os.environ.get(VARIABLE, "") not in ("", "0")


def go_offline() -> None:
    """From now on, this process and those that it starts work offline."""
    os.environ[VARIABLE] = "1"


def is_forbidden(url: str) -> bool:
    """Whether a server may not be called: it is on another machine, and work is offline."""
    return is_offline() and not is_here(url)


def keep_hub_offline() -> None:
    """If work is offline, let the libraries of the Hugging Face hub read nothing but their caches."""
    if not is_offline():
        return
    os.environ.update(dict.fromkeys(_OF_LIBRARIES, "1"))
    for module in ("huggingface_hub.constants", "datasets.config"):
        if module in sys.modules:
            vars(sys.modules[module]).update(dict.fromkeys(_OF_LIBRARIES, True))
