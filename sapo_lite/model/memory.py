"""How many tokens a forward pass may take, and what happens when memory runs out."""

from collections.abc import Callable

import torch
from accelerate.utils.memory import should_reduce_batch_size

from sapo_lite.model.backbone import Backbone

# Tokens of a forward pass where memory is no matter. On a CPU more leave its caches.
BEST_TOKENS = {"cpu": 2048, "cuda": 8192}


# Share of the free memory that one forward pass may take.
MEMORY_SHARE = 0.5


# Ways to say so that accelerate does not know: cuBLAS's, the driver's, and Windows'.
_OUT_OF_MEMORY = (
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
    "DefaultCPUAllocator: not enough memory",
)


def token_budget(backbone: Backbone) -> int:
    """Tokens of one forward pass: as many as are fastest, or as the free memory has room for."""
    best = BEST_TOKENS[backbone.device.type]
    if backbone.device.type != "cuda":
        return best
    config = backbone.causal_lm.config
    # A layer's states, queries to values and MLP, some of them in float32: a generous estimate.
    bytes_per_token = 4 * (8 * config.hidden_size + 4 * getattr(config, "intermediate_size", 0))
    free, _ = torch.cuda.mem_get_info(backbone.device)
    cached = torch.cuda.memory_reserved(backbone.device) - torch.cuda.memory_allocated(backbone.device)
    return max(1, min(best, int(MEMORY_SHARE * (free + cached) / bytes_per_token)))


def fits_in_memory(work: Callable[[], object]) -> bool:
    """Do the work; false where memory ran out, which is then free again. Other errors pass through."""
    try:
        work()
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
    else:
        return True
    # Only here: within the handler, the traceback still holds the tensors of the failed pass.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return False


def out_of_memory(error: Exception) -> bool:
    """Whether this is how PyTorch says that memory ran out."""
    return should_reduce_batch_size(error) or any(words in str(error) for words in _OUT_OF_MEMORY)
