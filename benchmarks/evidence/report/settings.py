"""The document's opening, and its sections on settings, machines, and what repeats."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.evidence.analysis.repeats import Repeat, repeats
from benchmarks.evidence.analysis.study import LEAST_SEEDS, Study
from sapo_lite.support.messages import as_toml, many, markdown, number

TITLES = {
    "lab": "The lab: does prompt choice before training matter?",
    "smollm2": "SmolLM2 on published tasks: does prompt choice before training matter?",
    "lab-first": "The first study in the lab, analysed anew",
}
_MOST_NAMES = 12


def opening(study: Study, missing: Mapping[str, list[str]]) -> str:
    seeds = sorted({run.seed for run in study.runs} | {probe.seed for probe in study.probes})
    counts = [many(len(study.runs), "run"), many(len(study.probes), "probe")]
    if study.crossed:
        counts.append(f"{len(study.crossed)} crossed designs")
    return f"""
# {TITLES.get(study.name, study.name)}

<!-- Written by `python -m benchmarks.evidence --report` from benchmarks/evidence/results/{study.name}/.
Do not edit. -->

Recipe `{study.settings["recipe"]}`, {", ".join(counts)} over {many(len(seeds), "seed")}
({", ".join(map(str, seeds))}), one frozen set of settings. Scores are in percent by each task's own metric,
losses in nats per answer token. Every number is computed from the raw results in
`benchmarks/evidence/results/{study.name}/`.

{_missing(missing)}
"""


def _missing(missing: Mapping[str, list[str]]) -> str:
    found = []
    for part, names in missing.items():
        shown = ", ".join([*names[:_MOST_NAMES], *(["..."] if len(names) > _MOST_NAMES else [])])
        found += [f"- {part}: {len(names)} ({shown})"] if names else []
    if not found:
        return "The study is complete."
    text = (
        "**The study is not complete.** Nothing is concluded from fewer than "
        f"{LEAST_SEEDS} seeds. Raw results that the settings ask for and that are not there:"
    )
    return "\n\n".join([text, "\n".join(found)])


CLAIMS = """
## Claims

The surprising first: what was found against the claim, then what was not shown, then what was found where
the paper (arXiv 2606.01967) says nothing, then what it says. It tests with the wordings that were trained
with ("own"); to ask the same under other test wordings is ours. p-values are corrected by Holm's method
within each family: tests of equivalence, loss against outcomes, effects across tasks, `sapo` less `fixed`,
and effects of wordings with the further comparisons. A claim on correlations holds if the test over clusters
and the interval over seeds agree (the estimate is that over clusters, the interval that over seeds); one on
differences if the corrected p and the interval do. "Not shown" is not "shown to be absent".
"""


def settings_section(study: Study, text: str) -> str:
    """`text`: of the settings file."""
    parts = ["## Settings, and how they were chosen", *_tried(study)]
    if study.settings.get("notes"):
        parts.append("Decided by looking, besides:")
        parts.append("\n".join(f"- {note}" for note in study.settings["notes"]))
    parts += ["The frozen settings:", f"```toml\n{text.strip()}\n```"]
    if "settings" in study.about:
        lines = [f"{key} = {as_toml(v)}" for key, v in study.about["settings"].items() if v is not None]
        parts += ["With the recipe's and the defaults:", "```toml\n" + "\n".join(lines) + "\n```"]
    return "\n\n".join(parts)


def _tried(study: Study) -> Iterator[str]:
    yield (
        f"Settings are chosen on the seeds {study.settings['tuning_seeds']}, which are not reported. There, "
        f"the program tried {many(len(study.tried), 'set')} of settings, which it counts by itself"
        + (":" if study.tried else ".")
    )
    if study.tried:
        rows = [
            [f"`{entry['variant']}`: {', '.join(entry['set'])}", str(len(entry["seeds"])), *_looked_at(entry)]
            for entry in study.tried
        ]
        yield markdown(["variant and settings", "seeds", "score in task", "size of updates"], rows)


def _looked_at(entry: Mapping[str, Any]) -> list[str]:
    cells = []
    for key, places in (("in_task", 1), ("update", 3)):
        values = [value for value in entry.get(key, ()) if value is not None]
        cells.append(number(sum(values) / len(values), places) if values else "–")
    return cells


def again(study: Study) -> str:
    seconds = study.about.get("seconds", {})
    spent = f"{sum(seconds.values()) / 3600:.1f} hours of CPU time"
    rows = [
        [
            environment.get("device", "–"),
            ", ".join(f"{key} {value}" for key, value in environment.items() if key != "device"),
        ]
        for environment in study.about["environments"]
    ]
    parts = [
        "## Numbers that repeat",
        f"It took {spent}, on:",
        markdown(["machine", "versions"], rows, texts=2),
        "The same seed on the same processor with the same libraries gives the same bytes. Another processor "
        "rounds sums in another order, and training enlarges such differences.",
        *_repeats(study),
        "To check: run the study's command into another folder of results "
        "(`python -m benchmarks.evidence STUDY --results FOLDER --out FOLDER`) and compare the files; "
        "`python -m benchmarks.evidence --report` writes this document anew from the raw results.",
    ]
    return "\n\n".join(parts)


def _repeats(study: Study) -> Iterator[str]:
    found = repeats(study)
    if not found:
        yield "No run of this study was repeated on another processor."
        return
    yield (
        "Runs of this study that were repeated elsewhere, all cells of R of all kinds of test prompt "
        "(largest difference and root mean square in points), and how far AP moved:"
    )
    headings = ["run", "on", "same choices", "equal cells", "largest", "RMS", "AP, own", "AP, original"]
    yield markdown([*headings, "AP, unseen"], [_repeat_row(one) for one in found], texts=2)


def _repeat_row(one: Repeat) -> list[str]:
    return [
        f"{one.run.variant}, {one.run.adapter}, seed {one.run.seed}",
        one.run.machine or "–",
        f"{one.same_choices} of {one.choices}",
        f"{one.equal} of {one.cells}",
        number(one.largest, 1),
        number(one.deviation, 1),
        *(number(one.ap.get(kind), 1, sign=True) for kind in ("chosen", "original", "unseen")),
    ]
