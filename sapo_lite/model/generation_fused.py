"""Generation on Unsloth's CUDA path, by its own `generate`."""

from collections.abc import Sequence

import torch

from sapo_lite.model.backbone import Backbone
from sapo_lite.model.generation_inputs import TOP_K, left_padded, stop_tokens

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
    backbone: Backbone, prompt: Sequence[int], seed: int, temperature: float, limit: int
) -> list[int]:
    """One sampled answer from Unsloth's `generate`, which uses torch's global generator."""
    stop = stop_tokens(backbone)
    drawn = {"do_sample": True, "temperature": temperature, "top_k": TOP_K, "top_p": 1.0}
    ids, mask = left_padded(backbone, [prompt])
    with torch.random.fork_rng(devices=[backbone.device]):
        torch.manual_seed(seed)
        output = backbone.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=limit,
            pad_token_id=backbone.tokenizer.pad_token_id,
            eos_token_id=sorted(stop),
            **(drawn if temperature else {"do_sample": False}),
        )
    new: list[int] = output[0, ids.shape[1] :].tolist()
    return new[: next((n for n, token in enumerate(new) if token in stop), len(new))]
