"""How the ranks of a run are connected: gloo over the loopback interface."""

import os
import sys
from datetime import timedelta
from typing import Any

import torch.distributed as dist

_HOST = "127.0.0.1"
_LONG = timedelta(days=20)  # ranks wait for as long as rank 0 asks a paraphraser


def join(store: Any, rank: int, size: int) -> None:
    """Connect to the other ranks. The store is given: variables would have accelerate divide the training."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    store.set(ready(rank), "")
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=_LONG)


def ready(rank: int) -> str:
    """Name in the store that says that a rank is about to connect."""
    return f"rank {rank}"


def store_of(port: int, size: int, *, is_master: bool = False) -> Any:
    """The store through which ranks find each other: rank 0's (at any free port, for 0), or access to it."""
    store: Any = dist.TCPStore  # type: ignore[attr-defined, unused-ignore]
    return store(_HOST, port, size, is_master, wait_for_workers=False)
