"""Public facts about common GPUs, and the card of this machine."""

from dataclasses import dataclass

from sapo_lite.errors import RecipeError
from sapo_lite.support.messages import nearest


@dataclass(frozen=True)
class Card:
    """A GPU, by its maker's data sheet.

    memory: in gigabytes
    bfloat16, float32: dense matrix products, in 10^12 operations a second; 0 where there is no bfloat16
    bandwidth: of its memory, in gigabytes a second
    """

    name: str
    memory: float
    bfloat16: float
    float32: float
    bandwidth: float


# Data sheets and white papers of NVIDIA; bfloat16 with float32 sums, without sparsity.
CARDS = {
    card.name: card
    for card in (
        Card("GTX 1660", 6, 0, 5.0, 192),
        Card("RTX 2060", 6, 0, 6.5, 336),
        Card("RTX 2080 Ti", 11, 0, 13.4, 616),
        Card("RTX 3050 6GB", 6, 13.5, 6.8, 168),
        Card("RTX 3050", 8, 18.2, 9.1, 224),
        Card("RTX 3060", 12, 25.5, 12.7, 360),
        Card("RTX 3060 Ti", 8, 32.4, 16.2, 448),
        Card("RTX 3070", 8, 40.6, 20.3, 448),
        Card("RTX 3080", 10, 59.5, 29.8, 760),
        Card("RTX 3090", 24, 71, 35.6, 936),
        Card("RTX 4060", 8, 30.2, 15.1, 272),
        Card("RTX 4060 Ti", 8, 44.1, 22.1, 288),
        Card("RTX 4060 Ti 16GB", 16, 44.1, 22.1, 288),
        Card("RTX 4070", 12, 58.3, 29.1, 504),
        Card("RTX 4070 Ti", 12, 80.2, 40.1, 504),
        Card("RTX 4080", 16, 97.5, 48.7, 717),
        Card("RTX 4090", 24, 165.2, 82.6, 1008),
        Card("RTX 5060", 8, 38.4, 19.2, 448),
        Card("RTX 5060 Ti 16GB", 16, 47.4, 23.7, 448),
        Card("RTX 5070", 12, 61.7, 30.9, 672),
        Card("RTX 5080", 16, 112.6, 56.3, 960),
        Card("RTX 5090", 32, 209.5, 104.8, 1792),
        Card("T4", 16, 0, 8.1, 320),
        Card("L4", 24, 121, 30.3, 300),
        Card("A10", 24, 125, 31.2, 600),
        Card("A100 40GB", 40, 312, 19.5, 1555),
        Card("A100 80GB", 80, 312, 19.5, 2039),
        Card("L40S", 48, 362, 91.6, 864),
        Card("H100", 80, 989, 67, 3350),
        Card("H200", 141, 989, 67, 4800),
    )
}


def find_card(name: str) -> Card:
    """The card that is called so, in any case, with or without the maker's name and "RTX".

    Raises:
        RecipeError: it is not in the table; the message has the nearest names.
    """
    bare = _bare(name)
    by_bare = {_bare(known): card for known, card in CARDS.items()}
    for whole in (bare, f"rtx{bare}", f"gtx{bare}"):
        if whole in by_bare:
            return by_bare[whole]
    close = nearest(bare, by_bare, at_most=3)
    hint = f"; did you mean {', '.join(by_bare[word].name for word in close)}?" if close else ""
    raise RecipeError(
        f'--card: expected one of {", ".join(CARDS)}, found "{name}"{hint}. Another card is planned by its '
        "memory, without times: --vram GIGABYTES."
    )


def _bare(name: str) -> str:
    return "".join(_words(name))


def _words(name: str) -> list[str]:
    words = name.lower().replace("-", " ").split()
    return [word for word in words if word not in ("nvidia", "geforce", "tesla", "gpu", "laptop")]


def card_of_this_machine() -> Card | None:
    """The first CUDA GPU here, with the rates of the table if it is there, else of 0; None without one."""
    import torch

    if not torch.cuda.is_available():
        return None
    name, memory = torch.cuda.get_device_name(), torch.cuda.get_device_properties().total_memory / 1e9
    known = _most_like(name, memory)
    if known is None:
        bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return Card(name, memory, float(bfloat16), 0, 0)
    return Card(name, memory, known.bfloat16, known.float32, known.bandwidth)


def _most_like(name: str, memory: float) -> Card | None:
    """The card of the table with most words in the name that a driver gives, and then with nearest memory."""
    words = set(_words(name))

    def model(card: Card) -> list[str]:
        return [word for word in _words(card.name) if not word.endswith("gb")]

    fitting = [card for card in CARDS.values() if words.issuperset(model(card))]
    return max(fitting, key=lambda card: (len(model(card)), -abs(card.memory - memory)), default=None)
