"""The documents in docs/evidence, one a study: every sentence and table is made from its raw results.

`claims.json` beside the documents has all rows of their claims tables, for other documents that quote them.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.evidence.analysis.completeness import missing_files
from benchmarks.evidence.analysis.numbers import Numbers, analysed
from benchmarks.evidence.analysis.study import read_study
from benchmarks.evidence.report import paper, probes, sequences, settings
from benchmarks.evidence.report.claims import Claim, claims, claims_table
from benchmarks.evidence.report.plots import images, plots
from benchmarks.evidence.report.text import sections
from sapo_lite.errors import DataError
from sapo_lite.support.files import write_json


def write_documents(results_folder: Path, docs_folder: Path) -> list[Path]:
    """Write the document and the plots of every study that has results, and claims.json of all.

    results_folder: has a folder for each study
    docs_folder: the documents go to its folder `evidence`

    Raises:
        DataError: there are no results of any study.
        RunFolderError: a raw result is damaged.
    """
    studies = [
        folder
        for folder in sorted(results_folder.iterdir())
        if any((folder / part).is_dir() for part in ("runs", "probes"))
    ]
    if not studies:
        raise DataError(f"{results_folder}: expected a folder of a study with results, found none.")
    docs = docs_folder / "evidence"
    docs.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    found: dict[str, Any] = {}
    for folder in studies:
        numbers = analysed(read_study(folder))
        rows, drawn = claims(numbers), plots(numbers)
        for name, svg in drawn.items():
            (docs / name).write_text(svg, encoding="utf-8")
        path = docs / f"{folder.name}.md"
        path.write_text(document(folder, numbers, rows, drawn), encoding="utf-8")
        found[folder.name] = [asdict(row) for row in rows]
        written += [path, *(docs / name for name in drawn)]
    write_json(docs / "claims.json", found)
    return [*written, docs / "claims.json"]


def document(folder: Path, numbers: Numbers, rows: list[Claim], drawn: dict[str, str]) -> str:
    """The document of a study. `drawn`: its plots by file name."""
    study = numbers.study
    text = (folder / "settings.toml").read_text(encoding="utf-8")
    return sections(
        [
            settings.opening(study, missing_files(folder, study.settings)),
            f"{settings.CLAIMS.strip()}\n\n{claims_table(rows)}",
            paper.section(numbers),
            probes.section(numbers, images(drawn, "probe")),
            sequences.section(numbers, images(drawn, "sequences")),
            settings.settings_section(study, text),
            settings.again(study),
        ]
    )
