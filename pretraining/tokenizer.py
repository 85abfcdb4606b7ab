"""The lab's tokenizer: byte-level BPE over the lab's own text.

The text is split at newlines, and every piece between them gets a space in front: so " dog" is one
token wherever the word stands, but decoded answers begin with a space, to be stripped.
"""

from collections.abc import Iterator
from functools import cache
from random import Random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from pretraining.families import FAMILIES
from pretraining.mixture import SUFFIXES, pretrain_example
from sapo_lite.lab.heldout import TASKS
from sapo_lite.lab.wordings import wordings
from sapo_lite.lab.words import KINDS, NAMES
from sapo_lite.lab.world import examples

VOCABULARY = 3072
PAD, TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

# Strings of every prompt are single tokens, which saves a quarter of all tokens. The text is Qwen's own.
_CHAT_TOKENS = [f"{TURN}user\n", f"{END_OF_TURN}\n{TURN}assistant\n"]
_PROMPT_TOKENS = [AddedToken("\n\nText:\n", normalized=False)]

# Qwen's chat format without system turns and thinking.
CHAT_TEMPLATE = (
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' }}"
    "{%- if not loop.last %}{{- '\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '\\n<|im_start|>assistant\\n' }}{%- endif %}"
)


@cache
def train_tokenizer(seed: int = 0) -> PreTrainedTokenizerFast:
    """Train the tokenizer; the same seed gives the same tokenizer.

    The training text includes the held-out tasks', so that their words are whole tokens: nothing else of them
    enters the backbone.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("\n+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(_CHAT_TOKENS) - len(_PROMPT_TOKENS),
        special_tokens=[PAD, TURN, END_OF_TURN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_text(Random(seed)), trainer)
    tokenizer.add_special_tokens(_CHAT_TOKENS)
    tokenizer.add_tokens(_PROMPT_TOKENS)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END_OF_TURN,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def _text(rng: Random) -> Iterator[str]:
    """Examples of all families, instructions and examples of all tasks, single words, the chat format."""
    for family in FAMILIES.values():
        for _ in range(400):
            drawn = pretrain_example(family, rng)
            yield "\n".join([drawn.instruction, drawn.input, drawn.suffix, drawn.answer])
    for task in TASKS:
        yield from wordings(task, 120, seed=0)
        yield from (f"{e.input}\n{e.answer}" for e in examples(task, 200, seed="tokenizer"))
    for word in [*NAMES, *(word for words in KINDS.values() for word in words)]:
        yield f"{word} {word}"
    yield from ["user\nText:\nassistant\n" + "\n".join(SUFFIXES)] * 500
