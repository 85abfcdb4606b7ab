"""Output of other libraries goes to the run's log file, not to the terminal."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def chatter_to(log: Path) -> Iterator[None]:
    """Context that sends banners, warnings, log records and bars of other packages to `log`.

    Consoles created before keep writing to their old stream.
    """
    # bitsandbytes, transformers and TRL read these once, on import.
    os.environ.update(HF_HUB_DISABLE_PROGRESS_BARS="1", TRANSFORMERS_VERBOSITY="error")
    with log.open("a", encoding="utf-8", buffering=1) as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        root = logging.getLogger()
        root.addHandler(handler)
        logging.captureWarnings(True)
        try:
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield
        finally:
            logging.captureWarnings(False)
            root.removeHandler(handler)
