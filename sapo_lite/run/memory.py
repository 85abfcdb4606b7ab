"""Memory that this process holds now. The peak is in sapo_lite.run.usage."""

import sys

import psutil


def memory_gb() -> float:
    """Gigabytes that this process has reserved on its GPU or, if it uses none, that are resident.

    torch is asked only if it is loaded: displays call this, and must not import it.
    """
    torch = sys.modules.get("torch")
    if torch is not None and getattr(torch, "cuda", None) is not None and torch.cuda.is_initialized():
        return float(torch.cuda.memory_reserved()) / 1e9
    return float(psutil.Process().memory_info().rss) / 1e9
