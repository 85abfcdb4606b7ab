"""One run in several processes: this one, rank 0, and others that compute parts of its work.

Rank 0 does everything that a run of one process does: it alone reads and writes files, has the optimiser and
draws random numbers for the run. The other ranks hold a copy of the backbone and wait. Where many rows are to
be scored, answered or learned, each gets a part of them, and with it the LoRA weights that have changed; it
sends back losses, answers or its summand of the gradient. So no process has to find out what another one has
decided, and a run goes on with any number of processes.

torch.distributed connects them, with gloo over the loopback interface, on GPUs too: what goes over it are
rows and the open LoRA block, some megabytes.
"""

import contextlib
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from sapo_lite.errors import SapoLiteError, WorkerError
from sapo_lite.model.lora import lora_layers, lora_pairs
from sapo_lite.model.rank_links import join, ready

if TYPE_CHECKING:
    from sapo_lite.model.backbone import Backbone, Way

# What a rank does with its part: returns what it found, and a summand of a sum over all ranks, or None.
Found = tuple[Any, Tensor | None]
Work = Callable[["Backbone", Any], Found]

# Rows for each rank; fewer are computed as fast by one.
LEAST = 8
_POLL, _SOON = 1.0, 0.05  # seconds
_PATIENCE = 5.0  # seconds that a process which is no longer connected has to end


@dataclass(frozen=True)
class State:
    """What has changed in rank 0's backbone besides its LoRA weights.

    changed: number of LoRA weights that follow
    scales: of the LoRA, by layer
    """

    packs: bool
    decoding: "Way"
    scales: list[float]
    changed: int


@dataclass(frozen=True)
class Request:
    """Work for one rank; `state` is None for the work that makes its backbone."""

    work: Callable[..., Any]
    part: Any
    state: State | None


@dataclass(frozen=True)
class Reply:
    """What a rank found; or its error, which ends the run."""

    found: Any = None
    packs: bool = True
    error: SapoLiteError | None = None


class Ranks:
    """The other ranks of a run, as rank 0 sees them. Made by sapo_lite.model.rank_start."""

    def __init__(self, size: int, log: Path, processes: Sequence[Any], store: Any) -> None:
        self.size, self.log = size, log
        self._processes, self._store = processes, store
        self._backbone: Backbone | None = None
        self._sent: Tensor | None = None
        # In a thread of its own: in the main one, Ctrl-C would wait for the end of a call.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ranks")

    def open(self, make: Callable[[], "Backbone"], backbone: "Backbone") -> None:
        """Have the other ranks make the same backbone; from then on, it shares its work with them."""
        while not self._store.check([ready(rank) for rank in range(1, self.size)]):
            if any(process.exitcode is not None for process in self._processes):
                raise self._lost("")
            time.sleep(_SOON)
        self._do(join, self._store, 0, self.size)
        self._ask([Request(make, None, None)] * self.size)
        self._replies()
        self._backbone, backbone.ranks = backbone, self

    def divide(self, sizes: Sequence[int], least: int = 1) -> list[range]:
        """Neighbouring items of these sizes in as many parts as there are ranks, of sizes as equal as can be.

        One part if there would be fewer than `least` items for each rank.
        """
        if len(sizes) < self.size * least:
            return [range(len(sizes))]
        reached, ends = list(accumulate(sizes)), [0]
        for rank in range(1, self.size):
            end = bisect_right(reached, reached[-1] * rank / self.size)
            # At least one item for this part and each of those that follow.
            ends.append(min(max(end, ends[-1] + 1), len(sizes) - (self.size - rank)))
        return [range(*pair) for pair in zip(ends, [*ends[1:], len(sizes)], strict=True)]

    def map(
        self, work: Work, parts: Sequence[Any], own: Callable[[], Found]
    ) -> tuple[list[Any], Tensor | None]:
        """What all ranks find, by rank, and the sum of their summands.

        parts: one for each rank
        own: does the part of rank 0

        Raises:
            WorkerError: a process has ended. After an error, the ranks are of no use any more.
        """
        state, places, values = self._changes()
        self._ask([Request(work, part, state) for part in parts], places, values)
        found, summand = own()
        replies = self._replies()
        assert self._backbone is not None
        if self._backbone.packs and not all(reply.packs for reply in replies):
            self._backbone.stop_packing()
        if summand is not None:
            device, summand = summand.device, summand.cpu()
            self._do(dist.reduce, summand, 0)
            summand = summand.to(device)
        return [found, *(reply.found for reply in replies)], summand

    def _changes(self) -> tuple[State, Tensor, Tensor]:
        """The state of the backbone; which of its LoRA weights have changed since the last call, and how."""
        assert self._backbone is not None
        model = self._backbone.model
        layers = lora_layers(model).values()
        weights = torch.cat([w.detach().flatten() for pair in lora_pairs(model).values() for w in pair])
        before = torch.zeros_like(weights) if self._sent is None else self._sent
        places = (weights != before).nonzero()[:, 0]
        self._sent = weights
        scales = [0.0 if layer.disable_adapters else float(layer.scaling["default"]) for layer in layers]
        state = State(self._backbone.packs, self._backbone.decoding, scales, len(places))
        return state, places.cpu(), weights[places].cpu()

    def _ask(self, requests: Sequence[Request], *changes: Tensor) -> None:
        self._do(dist.scatter_object_list, [None], list(requests), 0)
        for tensor in changes if changes and len(changes[0]) else ():
            self._do(dist.broadcast, tensor, 0)

    def _replies(self) -> list[Reply]:
        replies: list[Any] = [None] * self.size
        self._do(dist.gather_object, Reply(), replies, 0)
        for reply in replies:
            if reply.error is not None:
                raise reply.error
        return replies[1:]

    def _do(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call(self._thread.submit(function, *arguments))

    def _call(self, future: Any) -> None:
        """Wait for a call in the other thread, as long as all processes run."""
        while True:
            try:
                future.result(_POLL)
            except TimeoutError:
                if future.done():
                    raise
                if any(process.exitcode is not None for process in self._processes):
                    raise self._lost("") from None
            except RuntimeError as error:  # a connection broke
                raise self._lost(str(error)) from None
            else:
                return

    def _lost(self, reason: str) -> WorkerError:
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            for rank, process in enumerate(self._processes, start=1):
                if (code := process.exitcode) is not None:
                    how = f"by signal {-code}" if code < 0 else f"with status {code}"
                    what = f"process {rank + 1} of {self.size} ended {how} in the middle of its work"
                    return WorkerError(f"{what} (out of memory?). {self._goes_on}")
            time.sleep(_SOON)
        return WorkerError(f"The processes of the run lost each other: {reason[:200]}. {self._goes_on}")

    @property
    def _goes_on(self) -> str:
        return (
            f"Look into {self.log}. The same command with --out {self.log.parent} goes on where it stopped, "
            "with any number of --processes."
        )

    def close(self) -> None:
        if self._backbone is not None:
            self._backbone.ranks = None
        for process in self._processes:
            process.kill()  # nothing is lost: it has no file
        for process in self._processes:
            process.join()
        self._thread.shutdown()
        if dist.is_initialized():
            dist.destroy_process_group()


@contextlib.contextmanager
def alone(backbone: "Backbone") -> Iterator[None]:
    """Context in which rank 0 does everything itself: its model has more than the others can follow."""
    before, backbone.ranks = backbone.ranks, None
    try:
        yield
    finally:
        backbone.ranks = before
