"""What a run will cost, as tables."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from sapo_lite.recipe import Recipe
from sapo_lite.report.number_table import NumberTable
from sapo_lite.report.tables import spaced
from sapo_lite.run.costs.memory import PHASES
from sapo_lite.run.costs.predict import LONGEST, Costs
from sapo_lite.run.costs.times import Tokens
from sapo_lite.support.disk import in_words
from sapo_lite.support.messages import duration

_SMALL = 2e9  # bytes; smaller peaks are shown in megabytes


def costs_view(recipe: Recipe, costs: Costs) -> RenderableType:
    """Memory by part and phase, whether it fits and what to change, time by stage, disk."""
    model = f"{recipe.model.name}, {recipe.model.quantization}, {costs.dtype}"
    title = Text(f"{recipe.name} on {costs.machine}: {model}", style="bold")
    parts: list[RenderableType] = [title, _memory(costs), Group(*map(Text, _fit(recipe, costs)))]
    if costs.stages:
        parts.append(_stages(costs))
    return Group(*spaced([*parts, Group(*map(Text, _notes(costs)))]))


def _memory(costs: Costs) -> NumberTable:
    memory = costs.memory[LONGEST]
    unit, size, places = ("MB", 1e6, 0) if memory.peak < _SMALL else ("GB", 1e9, 2)

    def cell(found: int | None) -> str:
        return "" if found is None else f"{found / size:,.{places}f}"

    names = dict.fromkeys(part for phase in PHASES for part in memory.phases[phase])
    rows = [[name, *(cell(memory.phases[phase].get(name)) for phase in PHASES)] for name in names]
    rows.append(["in all", *(cell(memory.total(phase)) for phase in PHASES)])
    longest = costs.lengths["training rows"][LONGEST]
    title = f"memory in {unit}, predicted, at the longest row of {longest:,} tokens"
    return NumberTable(title, ["", *PHASES], rows)


def _fit(recipe: Recipe, costs: Costs) -> Iterator[str]:
    memory, room = costs.memory[LONGEST], costs.room / 1e9
    if costs.stages:
        yield "peak in GB: " + ", ".join(f"{of.peak / 1e9:.1f} {_at(p)}" for p, of in costs.memory.items())
    if costs.fits:
        yield f"it fits into {room:.1f} GB"
    else:
        yield f"it does not fit into {room:.1f} GB at the longest row"
        if costs.changes:
            changes = " ".join(f"--set {change}" for change in costs.changes)
            yield f"{'it would fit' if costs.would else 'nor would it'} with {changes}"
        if not costs.would:
            yield "take a smaller model"
    if memory.micro_batch < recipe.training.micro_batch_size:
        yield (
            f"the longest rows are trained in passes of {memory.micro_batch} in place of "
            f"{recipe.training.micro_batch_size}; gradients are the same"
        )
    if memory.batch < recipe.evaluation.batch_size:
        yield (
            f"answers fit in batches of {memory.batch}: --set evaluation.batch_size={memory.batch} saves the "
            "run from finding out"
        )


def _at(percent: int) -> str:
    return {50: "at the median length", LONGEST: "at the longest"}.get(percent, f"at {percent} %")


def _stages(costs: Costs) -> NumberTable:
    timed = costs.seconds is not None
    rows = [
        _row("before training" if own.stage == 0 else str(own.stage), own.tokens, own.seconds)
        for own in costs.stages
    ]
    rows.append(_row("in all", sum((own.tokens for own in costs.stages), Tokens()), costs.seconds))
    headings = ["stage", "scored", "trained", "read", "generated", *(["time"] if timed else [])]
    return NumberTable("tokens by stage, at most", headings, rows)


def _row(name: str, tokens: Tokens, seconds: float | None) -> list[str]:
    counts = (tokens.scored, tokens.trained, tokens.read, tokens.generated)
    return [
        name,
        *(f"{count:,.0f}" for count in counts),
        *([duration(seconds)] if seconds is not None else []),
    ]


def _notes(costs: Costs) -> Iterator[str]:
    for name, found in costs.lengths.items() if costs.stages else ():
        lengths = ", ".join(f"{tokens:,} {_at(p)}" for p, tokens in found.items())
        yield f"{name} in tokens: {lengths}{' (estimated)' if costs.estimated else ''}"
    free = "" if costs.free is None else f"; {in_words(costs.free)} are free"
    yield f"disk: {in_words(costs.download)} to download, {in_words(costs.folder)} for the run's folder{free}"
    if costs.measured:
        yield "time: by the rates of three training steps and a few answers here; without paraphrasing"
    elif costs.seconds is not None:
        yield "time: predicted from the card's data sheet, not measured; without paraphrasing (docs/gpus.md)"
    elif costs.stages:
        yield "time: no rates are known for this machine; --probe measures them, --card takes those of a card"
