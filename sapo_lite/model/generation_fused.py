"""Generation on Unsloth's CUDA path, by its own `generate`."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sapo_lite.model.backbone import Backbone
from sapo_lite.model.generation_inputs import left_padded, stop_tokens

# On Unsloth's CUDA path rows cannot leave a batch in mid-generation. Most answers are labels of a few
# tokens, so all rows get this many first and only the unfinished ones a second, full round.
FIRST_ROUND = 16


def generate_fused(backbone: Backbone, prompts: Sequence[Sequence[int]], limit: int) -> list[list[int]]:
    """Greedy answers from Unsloth's `generate`, in two rounds."""
    stop = stop_tokens(backbone)
    answers: list[list[int]] = [[] for _ in prompts]
    alive = list(range(len(prompts)))
    for budget in (min(FIRST_ROUND, limit), limit - FIRST_ROUND):
        if not alive or budget <= 0:
            break
        ids, mask = left_padded(backbone, [[*prompts[i], *answers[i]] for i in alive])
        output = backbone.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=budget,
            do_sample=False,
            pad_token_id=backbone.tokenizer.pad_token_id,
            eos_token_id=sorted(stop),
        )
        unfinished = []
        for row, new in zip(alive, output[:, ids.shape[1] :].tolist(), strict=True):
            length = next((n for n, token in enumerate(new) if token in stop), len(new))
            answers[row] += new[:length]
            if length == budget:
                unfinished.append(row)
        alive = unfinished
    return answers


def sample_fused(
    backbone: Backbone,
    prompts: Sequence[Sequence[int]],
    limit: int,
    choose: Callable[[Tensor, Sequence[int]], Tensor],
) -> list[list[int]]:
    """Answers from Unsloth's `generate`, all in one batch.

    choose: picks the next tokens from logits [B, vocabulary] of these rows: int64 [B]
    """
    stop = stop_tokens(backbone)
    ids, mask = left_padded(backbone, prompts)

    def only_chosen(_: Tensor, logits: Tensor) -> Tensor:
        chosen = choose(logits, range(len(logits)))[:, None]
        return torch.full_like(logits, -torch.inf).scatter(1, chosen, 0.0)

    output = backbone.model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=limit,
        do_sample=False,
        logits_processor=[only_chosen],
        pad_token_id=backbone.tokenizer.pad_token_id,
        eos_token_id=sorted(stop),
    )
    answers: list[list[int]] = output[:, ids.shape[1] :].tolist()
    return [new[: next((n for n, token in enumerate(new) if token in stop), len(new))] for new in answers]
