"""The pictures of a report in docs/pictures/, drawn by Chromium from a run of the lab recipe.

    sapo-lite run lab --out runs/lab
    .venv/bin/python scripts/pictures.py runs/lab

Needs playwright, Chromium and Pillow.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from sapo_lite import write_report

PICTURES = Path(__file__).resolve().parents[1] / "docs/pictures"
SIZE = {"width": 1100, "height": 1330}


def main(run: str) -> None:
    """Write the first screen of the run's report, light and dark."""
    page_file = write_report(run).absolute().as_uri()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport=SIZE, color_scheme=scheme)
            page.goto(page_file)
            picture = Image.open(io.BytesIO(page.screenshot()))
            picture.convert("RGB").quantize(64).save(PICTURES / f"report-{scheme}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
