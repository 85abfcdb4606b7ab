"""The report of a run or a comparison, whichever a folder holds."""

from pathlib import Path

from sapo_lite.run import paths


def write_report(folder: Path | str, out: Path | str | None = None) -> Path:
    """Write the report of a finished run or comparison: one HTML file that loads nothing.

    out: file to write to; by default `report.html` in the folder

    Returns the path of the file.

    Raises:
        RunFolderError: the folder holds no finished run or comparison, or one of its files is damaged.
        OSError: the file cannot be written.
    """
    folder, file = Path(folder), None if out is None else Path(out)
    if (folder / paths.COMPARISON).exists():
        from sapo_lite.compare.comparison import compare_folders
        from sapo_lite.report.html.comparison_page import write_comparison_report

        return write_comparison_report(compare_folders([folder]), file or folder)
    from sapo_lite.report.html.run_page import write_run_report

    return write_run_report(folder, file)
