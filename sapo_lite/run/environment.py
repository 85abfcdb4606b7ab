"""Record of the software and the machine of a run."""

import contextlib
import os
import platform
from importlib import metadata
from typing import Any

import torch

from sapo_lite import __version__
from sapo_lite.model.backbone import Backbone

_PACKAGES = """
    torch transformers trl peft datasets accelerate bitsandbytes unsloth unsloth_zoo ollama
""".split()


def environment(backbone: Backbone) -> dict[str, Any]:
    """Versions of Python and packages, the machine and its device: needed to reproduce a run."""
    versions = {"sapo-lite": __version__}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "python": platform.python_version(),
        "packages": versions,
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": 1 if backbone.ranks is None else backbone.ranks.size,
        "dtype": backbone.config.dtype,
        "device": torch.cuda.get_device_name() if backbone.device.type == "cuda" else "cpu",
    }
