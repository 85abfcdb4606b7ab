"""docs/evidence.md: every sentence and table is made from the raw results. It says what came out."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.evidence.analysis import Compared, ProbeTest, comparisons, probe_tests
from benchmarks.evidence.drawings import draw
from benchmarks.evidence.plan import read_settings
from benchmarks.evidence.raw import differing
from benchmarks.evidence.tables import (
    best_known,
    continual_table,
    correlation_table,
    transition_table,
)
from benchmarks.evidence.wording import about_probe, about_sequences, wrapped
from sapo_lite.errors import DataError
from sapo_lite.support.messages import many, markdown

SEQUENCES, PROBE, TRIED = "sequences.json", "probe.json", "tried.json"


def load(results: Path) -> dict[str, Any]:
    """What there is of the raw results, by file name. Raises DataError where there is nothing."""
    found = {
        name: json.loads((results / name).read_text(encoding="utf-8"))
        for name in (SEQUENCES, PROBE, TRIED)
        if (results / name).is_file()
    }
    if not {SEQUENCES, PROBE} & set(found):
        raise DataError(
            f"{results} has no results: expected {SEQUENCES} or {PROBE}; run the programme first."
        )
    return found


def write_report(results: Path, docs: Path, settings: Path) -> Path:
    """Write the document and its plots. Raises DataError where there are no results."""
    raw = load(results)
    plots = docs / "evidence"
    plots.mkdir(parents=True, exist_ok=True)
    drawn = draw(raw.get(PROBE), raw.get(SEQUENCES))
    for name, svg in drawn.items():
        (plots / name).write_text(svg, encoding="utf-8")
    path = docs / "evidence.md"
    path.write_text(document(raw, read_settings(settings), list(drawn)), encoding="utf-8")
    return path


def document(raw: dict[str, Any], settings: dict[str, Any], plots: Sequence[str]) -> str:
    tests = probe_tests(raw[PROBE]) if PROBE in raw else []
    found = comparisons(raw[SEQUENCES]) if SEQUENCES in raw else []
    parts = [
        _opening(raw),
        _findings(tests, found),
        _settings(raw, settings),
        _probe(raw[PROBE], tests, plots) if tests else "",
        _sequences(raw[SEQUENCES], found, plots) if found else "",
        _limits(raw),
        _again(raw),
    ]
    return "\n\n".join(wrapped(part.strip()) for part in parts if part) + "\n"


def brief(results: Path) -> str:
    """What came out, for a terminal."""
    raw = load(results)
    tests = probe_tests(raw[PROBE]) if PROBE in raw else []
    found = comparisons(raw[SEQUENCES]) if SEQUENCES in raw else []
    return "\n".join(_bullets(tests, found))


def _first(raw: dict[str, Any]) -> dict[str, Any]:
    return raw.get(SEQUENCES) or raw[PROBE]


def _opening(raw: dict[str, Any]) -> str:
    about = _first(raw)
    return f"""
# Evidence

<!-- Written by `python -m benchmarks.evidence --report` from benchmarks/evidence/results/. Do not edit. -->

What SAPO's two claims are worth in the lab: that the loss of a prompt *before* training tells how much
training with it will forget and carry over (the probe), and that choosing by it makes a sequence of tasks
end better (the sequences). Recipe `{about["recipe"]}`, seeds {", ".join(map(str, about["seeds"]))}, one
frozen set of settings. All seeds and transitions that were run are in the tables. Scores are ROUGE-L in
percent, losses nats per answer token.
"""


def _findings(tests: Sequence[ProbeTest], found: Sequence[Compared]) -> str:
    return "## What came out\n\n" + "\n".join(_bullets(tests, found))


def _bullets(tests: Sequence[ProbeTest], found: Sequence[Compared]) -> list[str]:
    return [f"- {line}" for line in [*about_probe(tests), *about_sequences(found)]]


def _settings(raw: dict[str, Any], settings: dict[str, Any]) -> str:
    about, tried = _first(raw), raw.get(TRIED, [])
    frozen = about["settings"]
    lines = [
        "## Settings, and how they were chosen",
        "",
        f"Settings are chosen on the seeds {settings['tuning_seeds']}, which are not reported. There, "
        f"this program tried {many(len(tried), 'set')} of settings (it counts by itself):",
        "",
    ]
    for entry in tried:
        what = differing(entry["settings"], frozen)
        text = "`, `".join(what)
        seeds = ", ".join(map(str, entry["seeds"]))
        lines.append(
            f"- recipe `{entry['recipe']}`: {f'`{text}`' if what else 'the frozen settings'} (seeds {seeds})"
        )
    lines += [*([""] if tried else ["- none", ""])]
    if settings["notes"]:
        lines += [
            "Tried besides, which the program cannot count:",
            "",
            *(f"- {note}" for note in settings["notes"]),
            "",
        ]
    lines += [
        "A seed draws the order of the tasks, which examples are learned and tested, the candidates, and the "
        "initial weights; all strategies and adapters of a seed share these. The frozen settings:",
        "",
        "```toml",
        *(f"{key} = {json.dumps(value)}" for key, value in frozen.items() if value is not None),
        "```",
    ]
    return "\n".join(lines)


def _probe(content: dict[str, Any], tests: Sequence[ProbeTest], plots: Sequence[str]) -> str:
    transitions = content["transitions"]
    same = sum(t["one_start"] for t in transitions)
    again = sum(t["repeats_the_run"] for t in transitions)
    return f"""
## Probe

{many(len(transitions), "transition")}: some tasks are learned with their original instructions (LoRAInc),
then one more task is learned from that state with each of its candidates. The state is loaded anew for
each: the weights before training were bit-identical for all candidates in {same} of {len(transitions)}
transitions. With the original instruction, the probe repeats an ordinary run: all scores were equal to
that run's in {again} of {len(transitions)}.

The loss is that before training, on the scoring examples, without a race. Outcomes: the mean change of
the scores of earlier tasks (below 0: forgetting) and of later ones (generalisation), and the score of the
task itself. A negative correlation says that prompts of lower loss ended with higher scores, which is
SAPO's claim for earlier and later tasks. Earlier tasks' own wordings are those they were learned with.

{correlation_table(tests)}

The unit of the permutation test is a prompt: outcomes are permuted within each transition
({content["permutations"]} times, two-sided), under the null that loss and outcome have nothing to do with
each other there. It speaks of these tasks and this backbone. Prompts that share their core phrase are
alike in both, so they are fewer than they look, and p-values are smaller than they would be for unlike
ones. The interval has transitions as units (t interval of their correlations); those of one seed share
their earlier tasks. Holm's correction is over the {sum(t.pooled is not None for t in tests)} tests of
this table.

By transition (Spearman; a dash where loss or outcome did not vary, or where there are no such tasks):

{transition_table(content, tests)}

Each point is a prompt, the larger one the original instruction:

{_images(plots, "probe")}
"""


def _sequences(content: dict[str, Any], found: Sequence[Compared], plots: Sequence[str]) -> str:
    kinds = {
        "chosen": "Learned tasks tested with their own wordings",
        "original": "All tasks tested with their original wordings",
        "unseen": "All tasks tested with held-out paraphrases, each for its share of the examples",
    }
    tests = sum(c.p is not None for c in found)
    tables = "\n\n".join(f"### {title}\n\n{continual_table(found, kind)}" for kind, title in kinds.items())
    return f"""
## Sequences

{many(len(content["cells"]), "run")} over {many(len(content["seeds"]), "seed")}. Mean (standard deviation
over seeds); the difference to `fixed` on the same seeds with its 95 % paired t interval, and in how many
seeds it was above. Seeds are the units. There are {tests} differences below: by chance alone, about
{tests / 20:.0f} of their
intervals would leave 0 out if nothing made a difference. * marks those whose paired t test holds after
Holm's correction for all of them (p < 0.05). AP: mean over j of R[N,j]. BWT: mean over i=2..N of mean
over j<i of (R[i,j] - R[j,j]). FWT: mean over i=1..N-1 of mean over j>i of (R[i,j] - R[0,j]).

{tables}

Large points are means over seeds, small ones seeds; lines are 95 % t intervals:

{_images(plots, "sequences")}

{best_known(content)}
"""


def _images(plots: Sequence[str], what: str) -> str:
    return "\n\n".join(f"![{name}](evidence/{name})" for name in plots if name.startswith(what))


def _limits(raw: dict[str, Any]) -> str:
    missing = [name for name in (SEQUENCES, PROBE) if name not in raw]
    lines = [f"- {name} is missing: that part was not run." for name in missing]
    lines += [
        "- Other backbones, other suites, a GPU: nothing here says how large an effect is on a model of "
        "billions of parameters.",
        "- More than one training for each prompt or cell: what the order of rows adds to the noise within a "
        "seed is part of every figure.",
        "- A choice of sample size beforehand: seeds and transitions are as many as two cores do in an hour "
        "or two.",
    ]
    if PROBE in raw:
        lines.append("- Other states to probe from than those of `fixed` on LoRAInc.")
    return "## What was not done\n\n" + "\n".join(lines)


def _again(raw: dict[str, Any]) -> str:
    about = _first(raw)
    seconds = sum(c["seconds"] for c in raw.get(SEQUENCES, {}).get("cells", []))
    seconds += sum(t["seconds"] for t in raw.get(PROBE, {}).get("transitions", []))
    names = ("sapo-lite", "torch", "transformers", "trl", "peft")
    versions = [(name, about["packages"][name]) for name in names if name in about["packages"]]
    cells, machine = raw.get(SEQUENCES, {}).get("cells", []), about["machine"]
    command = next((c["command"] for c in cells if c["strategy"] == "sapo"), None)
    one = f"\nOne cell alone, here the first with `sapo`:\n\n```sh\n{command}\n```\n" if command else ""
    return f"""
## Again

```sh
python -m benchmarks.evidence --jobs 2
python -m benchmarks.evidence --report
```

It took {seconds / 3600:.1f} hours of CPU time, less what interrupted processes had spent, on
{machine["device"]} ({machine["system"]}).
{one}
{markdown(["", "version"], [["python", about["python"]], *map(list, versions)])}

The raw results are in `benchmarks/evidence/results/`, with the command of every cell.
"""
