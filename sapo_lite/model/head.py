"""The decoder of a causal language model, and its head: vocabulary logits from hidden states.

Most heads are a projection. Some models also scale or cap the logits (Gemma, Granite, Cohere), scale the
states first (MiniCPM3), or have more layers there (ModernBERT). None of this is repeated here: the model's
own forward runs with a decoder that returns the given states at once.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from sapo_lite.errors import BackboneError


def decoder_of(causal_lm: Any) -> Any:
    """The causal language model without its head.

    Raises:
        BackboneError: it has no such part.
    """
    from transformers import PreTrainedModel

    if (found := getattr(causal_lm, causal_lm.base_model_prefix, None)) is not None:
        return found
    # Llama 4's text model has another name than its class says.
    parts = [part for part in causal_lm.children() if isinstance(part, PreTrainedModel)]
    if len(parts) != 1:
        raise BackboneError(
            f"{type(causal_lm).__name__} cannot be used: expected a decoder and a head, found "
            f"{', '.join(name for name, _ in causal_lm.named_children()) or 'no parts'}"
        )
    return parts[0]


def projection(causal_lm: Any, hidden: Tensor) -> Tensor:
    """Vocabulary projection alone: [N, hidden size] -> [N, vocabulary]."""
    head = causal_lm.get_output_embeddings()
    logits: Tensor = head(hidden.to(head.weight.dtype))
    return logits


def own_logits(causal_lm: Any, hidden: Tensor) -> Tensor:
    """Logits as the model's own forward computes them: [N, hidden size] -> [N, vocabulary].

    Raises:
        BackboneError: its forward calls another module than the decoder.
    """
    model = getattr(causal_lm, "_orig_mod", causal_lm)  # inside torch.compile's wrapper
    states = hidden.to(model.get_output_embeddings().weight.dtype)[None]
    ids = torch.zeros(states.shape[:2], dtype=torch.long, device=hidden.device)
    with _returning(decoder_of(model), states) as calls:
        # The forward of the class: accelerate and TRL replace the instance's.
        logits: Tensor = type(model).forward(model, input_ids=ids, use_cache=False).logits
    if not calls:
        raise BackboneError(f"{type(model).__name__} does not call its decoder as a whole")
    return logits[0]


@torch.no_grad()
def is_projection(causal_lm: Any) -> bool:
    """Whether the head is the vocabulary projection and no more.

    Also true if it cannot be run alone; the start-up check then finds out whether the logits are right.
    """
    weight: Tensor = causal_lm.get_output_embeddings().weight
    # Large states: a cap leaves small logits as they are.
    generator = torch.Generator().manual_seed(0)
    hidden = 100 * torch.randn(2, weight.shape[-1], generator=generator).to(weight.device)
    try:
        own = own_logits(causal_lm, hidden)
    except Exception:  # an untried model may raise anything
        return True
    return torch.equal(own.float(), projection(causal_lm, hidden).float())


class _Decoded(tuple[Tensor]):
    """Output of a decoder that has states alone: by name or as the first item. Everything else is None."""

    @property
    def last_hidden_state(self) -> Tensor:
        return self[0]

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


@contextlib.contextmanager
def _returning(decoder: Any, states: Tensor) -> Iterator[list[_Decoded]]:
    """Context in which the decoder returns `states` at once. Yields the list of what it has returned."""
    calls: list[_Decoded] = []

    def forward(*_: Any, **__: Any) -> _Decoded:
        calls.append(_Decoded((states,)))
        return calls[-1]

    before = vars(decoder).get("forward")
    decoder.forward = forward
    try:
        yield calls
    finally:
        if before is None:
            del decoder.forward
        else:
            decoder.forward = before
