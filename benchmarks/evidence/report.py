"""docs/evidence.md: every sentence and table is made from the raw results."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.evidence import report_probe, report_sequences
from benchmarks.evidence.analysis import ProbeTest, findings_by_kind, probe_tests
from benchmarks.evidence.programme import read_settings
from sapo_lite.compare.findings import Finding
from sapo_lite.errors import DataError
from sapo_lite.support.messages import many, markdown

SEQUENCES, PROBE, TRIED = "sequences.json", "probe.json", "tried.json"


def load(results: Path) -> dict[str, Any]:
    """The raw results by file name, as far as they exist. Raises DataError if there are none."""
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
    """Write the document and its plots. Raises DataError if there are no results."""
    raw = load(results)
    plots = docs / "evidence"
    plots.mkdir(parents=True, exist_ok=True)
    drawn = report_probe.plots(raw[PROBE]) if PROBE in raw else {}
    if SEQUENCES in raw:
        drawn |= report_sequences.plots(findings_by_kind(raw[SEQUENCES]))
    for name, svg in drawn.items():
        (plots / name).write_text(svg, encoding="utf-8")
    path = docs / "evidence.md"
    path.write_text(document(raw, read_settings(settings), list(drawn)), encoding="utf-8")
    return path


def document(raw: dict[str, Any], settings: dict[str, Any], plots: Sequence[str]) -> str:
    tests = probe_tests(raw[PROBE]) if PROBE in raw else []
    found = findings_by_kind(raw[SEQUENCES]) if SEQUENCES in raw else {}
    parts = [
        _opening(raw),
        _findings(tests, found),
        _settings(raw, settings),
        report_probe.section(raw[PROBE], tests, _images(plots, "probe")) if tests else "",
        report_sequences.section(raw[SEQUENCES], found, _images(plots, "sequences")) if found else "",
        _limits(raw),
        _again(raw),
    ]
    return "\n\n".join(wrapped(part.strip()) for part in parts if part) + "\n"


def brief(results: Path) -> str:
    """A summary of the results for a terminal."""
    raw = load(results)
    tests = probe_tests(raw[PROBE]) if PROBE in raw else []
    found = findings_by_kind(raw[SEQUENCES]) if SEQUENCES in raw else {}
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


def _findings(tests: Sequence[ProbeTest], found: Mapping[str, Sequence[Finding]]) -> str:
    return "## What came out\n\n" + "\n".join(_bullets(tests, found))


def _bullets(tests: Sequence[ProbeTest], found: Mapping[str, Sequence[Finding]]) -> list[str]:
    return [f"- {line}" for line in [*report_probe.sentences(tests), *report_sequences.sentences(found)]]


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


def differing(settings: dict[str, Any], frozen: dict[str, Any]) -> list[str]:
    """Settings that differ from the frozen ones, as `key = value`."""
    keys = {**settings, **frozen}
    return [f"{key} = {settings.get(key)}" for key in keys if settings.get(key) != frozen.get(key)]


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


def wrapped(text: str) -> str:
    """Paragraphs and list items in lines of at most 110 characters; tables, code and images unchanged."""
    blocks, code = [], False
    for block in text.split("\n\n"):
        if not code and block[:1].isalnum():
            block = textwrap.fill(block, 110, break_long_words=False, break_on_hyphens=False)
        elif not code and block.startswith("- "):
            block = "\n".join(_item(line) for line in block.splitlines())
        code ^= block.count("```") % 2 == 1
        blocks.append(block)
    return "\n\n".join(blocks)


def _item(line: str) -> str:
    return textwrap.fill(line, 110, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
