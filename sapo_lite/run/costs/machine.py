"""The machine that a run is planned for."""

from dataclasses import dataclass

import psutil

from sapo_lite.run.costs.cards import Card, card_of_this_machine, find_card
from sapo_lite.run.costs.memory import Device


@dataclass(frozen=True)
class Machine:
    """The machine that a run is planned for.

    name: as it is shown
    room: its memory in bytes that a run may use
    card: the GPU; None for a CPU, or for a GPU of which only the memory is known
    here: whether it is this machine
    """

    name: str
    device: Device
    room: int
    card: Card | None
    here: bool


def planned_machine(card: str | None, vram: float | None) -> Machine:
    """The card of this name, any card of so many gigabytes, or else this machine.

    vram: gigabytes; with a card, the part of its memory that may be used

    Raises:
        RecipeError: there is no such card.
    """
    if card is not None:
        known = find_card(card)
        room = min(vram or known.memory, known.memory)
        return Machine(f"{known.name}, {room:g} GB", "cuda", int(room * 1e9), known, here=False)
    own = card_of_this_machine()
    if own is not None and (vram is None or vram <= own.memory):
        room = vram or own.memory
        return Machine(f"{own.name}, {room:.1f} GB", "cuda", int(room * 1e9), own, here=True)
    if vram is not None:
        return Machine(f"a GPU of {vram:g} GB", "cuda", int(vram * 1e9), None, here=False)
    total = psutil.virtual_memory().available
    return Machine(f"the CPU of this machine, {total / 1e9:.1f} GB free", "cpu", total, None, here=True)
