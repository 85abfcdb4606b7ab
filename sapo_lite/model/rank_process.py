"""A process other than rank 0 of a run: it waits for work, does it, and sends what it found."""

import os
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from sapo_lite.errors import SapoLiteError, WorkerError
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.lora import lora_layers, lora_pairs
from sapo_lite.model.rank_links import join, store_of
from sapo_lite.model.ranks import Reply, Request, State
from sapo_lite.support.worker import begin_worker


def serve(
    number: int,
    port: int,
    size: int,
    log: Path,
    threads: int,
    gpus: Sequence[str],
    cap: float | None,
) -> None:
    """Work as rank `number + 1` until rank 0 ends.

    gpus: CUDA's name of the GPU of each rank; empty without GPUs
    cap: share of its memory that this process may use
    """
    rank = number + 1
    if gpus:  # before CUDA starts: libraries take the first GPU that they see
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[rank]
    begin_worker(log, lambda: torch.set_num_threads(threads), os.getppid())
    os.dup2(2, 1)
    if cap is not None:
        torch.cuda.set_per_process_memory_fraction(cap)
    join(store_of(port, size), rank, size)
    backbone: Backbone | None = None
    while True:
        received: list[Any] = [None]
        dist.scatter_object_list(received, None, 0)
        request: Request = received[0]
        if request.state is not None:
            assert backbone is not None
            _follow(backbone, request.state)
        reply, summand, backbone = _answered(request, backbone, f"process {rank + 1} of {size}")
        dist.gather_object(reply, None, 0)
        if summand is not None:
            dist.reduce(summand.cpu(), 0)


def _follow(backbone: Backbone, state: State) -> None:
    """Bring the backbone into the state of rank 0's."""
    backbone.packs, backbone.decoding = state.packs, state.decoding
    for layer, scale in zip(lora_layers(backbone.model).values(), state.scales, strict=True):
        layer.scaling["default"] = scale
    if not state.changed:
        return
    places, values = torch.empty(state.changed, dtype=torch.long), torch.empty(state.changed)
    for tensor in (places, values):
        dist.broadcast(tensor, 0)
    weights = [weight for pair in lora_pairs(backbone.model).values() for weight in pair]
    with torch.no_grad():
        flat = torch.cat([weight.flatten() for weight in weights])
        flat[places.to(flat.device)] = values.to(flat.device)
        for weight, new in zip(weights, flat.split([weight.numel() for weight in weights]), strict=True):
            weight.copy_(new.view_as(weight))


def _answered(request: Request, backbone: Backbone | None, name: str) -> tuple[Reply, Any, Backbone | None]:
    """The reply to a request, a summand or None, and the backbone."""
    try:
        if request.state is None:
            return Reply(), None, request.work()
        found, summand = request.work(backbone, request.part)
    except SapoLiteError as error:
        return Reply(error=error), None, backbone
    except Exception as error:  # rank 0 ends the run with it
        traceback.print_exc()
        words = " ".join(str(error).split())[:200]
        return Reply(error=WorkerError(f"{name}: {type(error).__name__}: {words}")), None, backbone
    assert backbone is not None
    return Reply(found, backbone.packs), summand, backbone
