"""Memory: the token budget of a forward pass, and what to do if memory runs out."""

import contextlib
import gc
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import torch
from accelerate.utils.memory import should_reduce_batch_size

from sapo_lite.model.backbone import Backbone

# Tokens of a forward pass if memory is large. On a CPU, more of them do not fit its caches.
BEST_TOKENS = {"cpu": 2048, "cuda": 8192}


# Share of the free memory that one forward pass may use.
MEMORY_SHARE = 0.5


# Out-of-memory messages that accelerate does not know: those of cuBLAS, the driver and Windows.
_OUT_OF_MEMORY = (
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
    "DefaultCPUAllocator: not enough memory",
)


# Where `fits_in_memory` reports that memory ran out.
_notice: ContextVar[Callable[[], None]] = ContextVar("notice", default=lambda: None)
_RAN_OUT = (
    "memory ran out: from here on, work is done in smaller batches where needed; results are those of larger "
    "ones, and training.batch_size stays"
)


@contextlib.contextmanager
def shortage_noticed(notice: Callable[[str], None]) -> Iterator[None]:
    """Context manager: the first time that memory runs out, `notice` gets a line for the user."""
    lines = [_RAN_OUT]
    before = _notice.set(lambda: notice(lines.pop()) if lines else None)
    try:
        yield
    finally:
        _notice.reset(before)


def token_budget(backbone: Backbone) -> int:
    """Token budget of one forward pass: the fastest number, or fewer if free memory is short."""
    best = BEST_TOKENS[backbone.device.type]
    if backbone.device.type != "cuda":
        return best
    config = backbone.causal_lm.config.get_text_config()
    inner = getattr(config, "intermediate_size", 0)
    inner = max(inner) if isinstance(inner, list) else inner  # of each layer, in Gemma 3n
    # A layer's states, queries to values and MLP, some of them in float32: a generous estimate.
    bytes_per_token = 4 * (8 * config.hidden_size + 4 * inner)
    free, _ = torch.cuda.mem_get_info(backbone.device)
    cached = torch.cuda.memory_reserved(backbone.device) - torch.cuda.memory_allocated(backbone.device)
    return max(1, min(best, int(MEMORY_SHARE * (free + cached) / bytes_per_token)))


def fits_in_memory(work: Callable[[], object]) -> bool:
    """Do the work; false if memory ran out (it is free again then). Other errors are raised."""
    try:
        work()
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
    else:
        return True
    _notice.get()()
    # Free memory here and not in the handler: there the traceback still holds the failed pass's tensors.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return False


def free_memory() -> None:
    """Free the memory of models that nothing uses any more: their parts refer to each other in circles."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def out_of_memory(error: Exception) -> bool:
    """Whether this error of PyTorch means that memory ran out."""
    return should_reduce_batch_size(error) or any(words in str(error) for words in _OUT_OF_MEMORY)
