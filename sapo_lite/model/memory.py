"""Memory: the token budget of a pass, and what to do if memory runs out."""

import gc
from collections.abc import Callable

import torch

from sapo_lite.errors import BackboneError
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.footprint import (
    BEST_TOKENS,
    forward_bytes,
    tokens_that_fit,
    tokens_that_train,
    widths_of,
)
from sapo_lite.model.notices import notice_once

# Share of the free memory up to which the inputs of all layers stay on the card.
INPUTS_SHARE = 0.125

# Out-of-memory messages that accelerate does not know: those of cuBLAS, the driver and Windows.
_OUT_OF_MEMORY = (
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
    "DefaultCPUAllocator: not enough memory",
)


_RAN_OUT = (
    "memory ran out: from here on, work is done in smaller batches where needed; results are those of larger "
    "ones but for rounding and the masks of dropout, and training.batch_size stays"
)


def cap_memory(gigabytes: float) -> None:
    """Let this process reserve at most so many gigabytes of the GPU's memory. Beyond, memory runs out.

    Raises:
        BackboneError: there is no GPU, or it has less memory.
    """
    if not torch.cuda.is_available():
        raise BackboneError("--vram: expected a CUDA GPU, whose memory it caps, found none. Leave it out.")
    total = torch.cuda.get_device_properties().total_memory
    if gigabytes * 1e9 > total:
        raise BackboneError(
            f"--vram: expected at most {total / 1e9:.1f}, the memory of {torch.cuda.get_device_name()} in "
            f"gigabytes, found {gigabytes:g}."
        )
    torch.cuda.set_per_process_memory_fraction(gigabytes * 1e9 / total)


def usable_bytes(device: torch.device) -> int:
    """Bytes of a GPU that this process can still use, within its cap (`cap_memory`)."""
    free, total = torch.cuda.mem_get_info(device)
    reserved, used = torch.cuda.memory_reserved(device), torch.cuda.memory_allocated(device)
    capped = int(torch.cuda.get_per_process_memory_fraction(device) * total)
    return max(0, min(free + reserved, capped) - used)


def token_budget(backbone: Backbone) -> int:
    """Token budget of one forward pass: the fastest number, or fewer if free memory is short."""
    best = BEST_TOKENS[backbone.device.type]
    if backbone.device.type != "cuda":
        return best
    per_token = forward_bytes(widths_of(backbone.causal_lm.config), backbone.dtype.itemsize)
    return min(best, tokens_that_fit(usable_bytes(backbone.device), per_token))


def training_budget(backbone: Backbone, *, checkpointing: bool, dropout: bool, packed: bool) -> int:
    """Token budget of one forward and backward pass, as `token_budget`.

    checkpointing: whether layers keep nothing but their inputs for the backward pass
    dropout, packed: of the rows (see footprint.layer_bytes)
    """
    best = BEST_TOKENS[backbone.device.type]
    if backbone.device.type != "cuda":
        return best
    return min(
        best,
        tokens_that_train(
            usable_bytes(backbone.device),
            widths_of(backbone.causal_lm.config),
            backbone.dtype.itemsize,
            trained=sum(weight.numel() for weight in backbone.model.parameters() if weight.requires_grad),
            checkpointing=checkpointing,
            dropout=dropout,
            packed=packed,
        ),
    )


def holds_layer_inputs(backbone: Backbone) -> bool:
    """Whether a card has ample room for the inputs of all layers, which checkpointing keeps in training."""
    if backbone.device.type != "cuda":
        return False
    widths = widths_of(backbone.causal_lm.config)
    inputs = widths.layers * widths.hidden * backbone.dtype.itemsize * BEST_TOKENS["cuda"]
    return bool(inputs <= INPUTS_SHARE * usable_bytes(backbone.device))


def fits_in_memory(work: Callable[[], object]) -> bool:
    """Do the work; false if memory ran out (it is free again then). Other errors are raised."""
    try:
        work()
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
    else:
        return True
    notice_once(_RAN_OUT)
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
    from accelerate.utils.memory import should_reduce_batch_size  # half a second that a check need not spend

    return should_reduce_batch_size(error) or any(words in str(error) for words in _OUT_OF_MEMORY)
