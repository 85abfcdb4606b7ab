"""The model card of a backbone: training data, training time and measured accuracy."""

from collections.abc import Mapping
from typing import Any

from pretraining.mixture import REGISTER_SHARES, RENAMED
from pretraining.pretrainer import Plan

_CARD = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---

# {title}

A language model small enough to ship: sapo-lite runs its whole method on it in about a minute, on a
laptop CPU, offline. It is an instrument for teaching and testing, not a general language model. This card
was written by `python -m pretraining --family {architecture}`, which trains the model again.

| | |
|---|---|
| Architecture | {class_name}, tied embeddings |
| Layers | {layers}, hidden {hidden}, MLP {mlp} |
| Attention heads | {heads} query, {kv_heads} key/value, of {head_dim} |
| Parameters | {parameters:.2f} million, bfloat16 |
| Tokenizer | byte-level BPE, {vocabulary} tokens; strip decoded answers, which begin with a space |
| Context | {context} tokens |
| Chat format | `<\\|im_start\\|>user ... <\\|im_end\\|>`, then `<\\|im_start\\|>assistant`; no system turn |

## Data

Examples that `pretraining/` generates from a seed: {families} families of small tasks (kinds of words,
lists, numbers, comparing, reading, records, options, and a toy language named zumi), each asked for by a
grammar in hundreds of wordings, {plain:.0%} plain, {long:.0%} long and {rare:.0%} in odd registers. In
{renamed:.0%} of the examples with two or three labels, these are renamed. No text by people, and no
benchmark. The tasks of `data/lab/` were held out, as a test shows; only the tokenizer's vocabulary was
counted on their text too.

## Compute

{steps} steps of {wordings} wordings (half as many in the first sixth) of up to three examples,
{tokens:.1f} million tokens; {minutes:.0f} minutes by the clock on {threads} CPU thread{s} ({machine}),
float32. Muon on the weight matrices, AdamW on the rest, loss on answers only, weak families more often.
Seed {seed}.

## Accuracy

Exact answers by greedy decoding to {count} fresh examples of each family, worded as in training, with these
weights (rounded to bfloat16, computed in float32): **{mean:.2%} on average**. {perfect} of {families}
families have no error; the weakest are these.

| family | accuracy |
|---|---:|
{weakest}

<details><summary>All families, in percent</summary>

{all}

</details>

## Limits

- It knows only the lab's tiny English, in lower case, with one space around every word and punctuation
  mark. On other text (SUPERNI, for instance) it runs, and shows that the program works; the scores mean
  nothing.
- What it learns under one wording holds only in part under another: docs/lab.md says how much. That makes
  it sensitive to the prompt, which is what the lab is for.
- Sequences longer than the lab's (some 30 tokens on average) are new to it.
"""


def card(plan: Plan, facts: Mapping[str, Any], config: Any, accuracy: Mapping[str, float]) -> str:
    """The card's text.

    `facts` are measured: tokens and parameters (millions), minutes, threads, machine, and the number of
    examples of each family (count) on which `accuracy` (shares) was measured.
    """
    ordered = sorted(accuracy, key=accuracy.__getitem__)
    plain, long, rare = REGISTER_SHARES
    return _CARD.format(
        title={"qwen3": "lab", "llama": "lab-llama"}[plan.architecture],
        architecture=plan.architecture,
        class_name=config.architectures[0],
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        mlp=config.intermediate_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        vocabulary=config.vocab_size,
        context=config.max_position_embeddings,
        families=len(accuracy),
        plain=plain,
        long=long,
        rare=rare,
        renamed=RENAMED,
        steps=plan.steps,
        wordings=plan.wordings,
        seed=plan.seed,
        mean=sum(accuracy.values()) / len(accuracy),
        perfect=sum(share == 1 for share in accuracy.values()),
        weakest="\n".join(f"| {name} | {accuracy[name]:.1%} |" for name in ordered[:10]),
        all=", ".join(f"{name} {100 * accuracy[name]:.1f}" for name in accuracy),
        s="" if facts["threads"] == 1 else "s",
        **facts,
    )
