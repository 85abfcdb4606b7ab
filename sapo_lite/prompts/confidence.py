"""Confidence of a choice: the lead of the chosen candidate on examples that did not choose it.

The candidate with the lowest of many losses is partly the luckiest: on the examples that made the choice it
leads by more than on others. So the choice is made again on two thirds of the examples, its lead is measured
on the remaining third, and this is done many times. The mean is the lead after correction for the choice.
Where all splits choose the same, it is the lead as measured. Near a tie it may lie on the other side of 0:
what two thirds of the examples prefer, the remaining third then does not.

The intervals answer one question: how large is the lead on other examples of this task? They do not cover the
effect of the choice on training. `python -m benchmarks.selection.leads` measures, on known populations, how
near the corrected leads come to the true ones, and how often the intervals hold these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sapo_lite.prompts.losses import CandidateLoss, shared

if TYPE_CHECKING:
    from sapo_lite.model.backbone import Backbone
    from sapo_lite.prompts.leads import Floats, Indices, Leads, Rule

# Times that the examples are split into thirds. Other splits change a lead by about 3 % of its error.
ROUNDS = 700


@dataclass(frozen=True)
class Difference:
    """Loss of the chosen candidate minus that of another one, in nats per answer token.

    Token-weighted, even if another mean decided (CandidateLoss.reduction).

    mean: after correction for the choice; as measured for a single example
    interval: 95 % bounds; None for a single example
    examples: number of common examples; mean and interval are over these
    """

    other: int
    mean: float
    interval: tuple[float, float] | None
    examples: int


@dataclass(frozen=True)
class Margin:
    """Margin of the chosen candidate over its strongest rival and over the original.

    runner_up: the rival closest to being as good, see `certainty`
    original: compared with the original instruction; None if that was chosen
    within_noise: whether the runner-up may be as good
    """

    chosen: int
    runner_up: Difference
    original: Difference | None
    within_noise: bool


def certainty(
    scores: Sequence[CandidateLoss],
    chosen: int,
    *,
    rule: "Rule" = "lowest",
    resolution: float = 0.0,
    seed: int = 0,
    rounds: int = ROUNDS,
) -> Margin:
    """Compare the chosen candidate with the runner-up and with the original, corrected for the choice.

    rule: how losses made the choice; "given" if they did not
    resolution: the possible error of the arithmetic, in nats per token

    A rival may be as good if the interval of its measured difference includes 0, or if that is at most
    `resolution`. The runner-up is the one of these with the nearest mean; if there is none, the rival whose
    interval is nearest to 0. So it need not be second in rank. Examples choose it as well, so every split has
    its own. The choice is within noise if the runner-up's corrected interval includes 0, or if its measured
    difference is at most `resolution`. The original is the same in all splits; those that choose it have no
    lead over it and do not count.

    After a race, only the candidates that stayed longest can be chosen or be the runner-up, in a split as in
    the race: it dropped the others with an error of 1 %, and has no more losses of them. The original may be
    one of the dropped. A split still chooses among those that stayed, by all the losses that they have, and
    the lead over the original is measured on those of its examples that are left out. A race ends, or drops
    the original, when a lead is large; what this adds to the lead is not corrected.

    Raises:
        ValueError: there is no rival, or two candidates were scored on different examples.
    """
    import numpy as np  # here and below, since finished runs are read without it

    from sapo_lite.prompts.leads import splits

    by_index = {score.index: score for score in sorted(scores, key=lambda score: score.index)}
    if len(by_index) < 2:
        raise ValueError(f"expected at least two candidates to compare, found only #{chosen}")
    common = {i: _common(by_index[chosen], theirs) for i, theirs in by_index.items() if i != chosen}
    most = max(common.values())
    stayed = [i for i in by_index if i == chosen or common[i] == most]
    place = stayed.index(chosen)
    left_out = splits(most, rounds, seed)
    leads = _leads(by_index, stayed, chosen, left_out)
    drawn = leads.choices(rule, place)
    rivals, rival = leads.runners_up(drawn, resolution), leads.runner_up(place, resolution)
    original = None
    if 0 in common:
        columns = stayed if 0 in stayed else [*stayed, 0]
        own = _leads(by_index, columns, chosen, left_out[:, : common[0]])
        zero = columns.index(0)
        original = _difference(own, (place, zero), drawn, np.full_like(drawn, zero), 0)
    if original is not None and stayed[rival] == 0:
        runner_up = original
    else:
        runner_up = _difference(leads, (place, rival), drawn, rivals, stayed[rival])
    near = abs(leads.means[place] - leads.means[rival]) <= resolution
    return Margin(chosen, runner_up, original, within_noise=bool(near) or _includes_0(runner_up))


def _common(ours: CandidateLoss, theirs: CandidateLoss) -> int:
    """Number of common examples: both lists are beginnings of the same order."""
    n, _ = shared(ours, theirs)
    if n == 0 or ours.examples[:n] != theirs.examples[:n]:
        raise ValueError(
            f"candidates #{ours.index} and #{theirs.index}: expected scores of the same examples in the "
            "same order, found different ones; score all candidates in one go"
        )
    return n


def _leads(
    scores: Mapping[int, CandidateLoss], columns: Sequence[int], chosen: int, left_out: "Floats"
) -> "Leads":
    """The losses of these candidates on the first examples, as many as `left_out` has.

    Those of the chosen one are subtracted, so that small differences of large losses stay exact.
    """
    import numpy as np

    from sapo_lite.prompts.leads import Leads

    n = left_out.shape[1]
    ours, last = scores[chosen], scores[columns[-1]]
    weights = np.asarray(shared(ours, last)[1] or (1.0,) * n)
    nats = np.array([np.subtract(scores[i].nll_sum[:n], ours.nll_sum[:n]) for i in columns])
    return Leads(nats.T * weights[:, None], np.asarray(ours.tokens[:n]) * weights, left_out)


def _difference(
    leads: "Leads", measured: tuple[int, int], first: "Indices", second: "Indices", other: int
) -> Difference:
    """The lead of the pairs that the splits chose; of the measured pair if no split has a pair to measure."""
    import numpy as np

    n = len(leads.tokens)
    if n == 1:
        return Difference(other, float(leads.means[measured[0]] - leads.means[measured[1]]), None, n)
    if not leads.left_out[first != second].any():
        first = np.full_like(first, measured[0])
    mean, error = leads.lead(first, second)
    width = leads.quantile * error
    return Difference(other, mean, (mean - width, mean + width), n)


def _includes_0(difference: Difference) -> bool:
    return difference.interval is None or difference.interval[0] <= 0 <= difference.interval[1]


def statement(certainty: Margin) -> str:
    """The margin in one sentence for a terminal. Bounds below 0 favour the other candidate."""
    runner_up, original = certainty.runner_up, certainty.original
    name = "the original" if runner_up.other == 0 else f"the runner-up #{runner_up.other}"
    examples = " shared example" if runner_up.examples == 1 else " shared examples"
    corrected = "" if runner_up.interval is None else "after correction for the choice "
    parts = [corrected + _against(runner_up, name, " nats per token", examples)]
    if original is not None and runner_up.other != 0:
        parts.append(_against(original, "the original"))
    noise = f"; within noise: {name} may be as good" if certainty.within_noise else ""
    return ", ".join(parts) + noise


def _against(difference: Difference, name: str, unit: str = "", examples: str = "") -> str:
    """ "0.0312 below the original (95 %: 0.0110 to 0.0520 on 96)"; bounds in the gap's unit."""
    place = f"on {difference.examples}{examples}"
    below = difference.mean < 0
    if difference.interval is not None:
        low, high = difference.interval
        near, far = (-high, -low) if below else (low, high)
        place = f"95 %: {near:z.4f} to {far:z.4f} {place}"
    if difference.mean == 0:
        return f"equal to {name} ({place})"
    return f"{abs(difference.mean):.4f}{unit} {'below' if below else 'above'} {name} ({place})"


# Largest measured change of a candidate's mean by bfloat16 rounding, in nats per token.
BFLOAT16_RESOLUTION = 0.008


def resolution(backbone: "Backbone") -> float:
    """Largest change of a candidate's mean that rounding may cause, in nats per token."""
    import torch  # here, since finished runs are read without it

    return BFLOAT16_RESOLUTION if backbone.dtype is torch.bfloat16 else 0.0
