"""Checks of Python, packages and the GPU's driver."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

from sapo_lite import __version__
from sapo_lite.run.doctor.check import Check, failed, ok

_PINS = "Install the tested versions: pip install -c constraints.txt sapo-lite (docs/install.md)."
_STACK = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "bitsandbytes")
_DRIVER = Path("/proc/driver/nvidia/version")
_UNSLOTH = "pip install 'sapo-lite[gpu]' (docs/install.md); model.loader = \"transformers\" does without it."


def python() -> Check:
    return ok("Python", f"{platform.python_version()} on {platform.machine()}, sapo-lite {__version__}")


def packages() -> Check:
    """The stack's versions, within the bounds of this package."""
    bounds = {own.name: own for own in map(Requirement, requires("sapo-lite") or [])}
    found, wrong = list[str](), list[str]()
    for name in _STACK:
        try:
            here = version(name)
        except PackageNotFoundError:
            return Check("packages", "fail", f"{name} is not installed", _PINS)
        found.append(f"{name} {here}")
        if name in bounds and not bounds[name].specifier.contains(here, prereleases=True):
            wrong.append(f"{name} {here} is not {bounds[name].specifier}")
    if wrong:
        return Check("packages", "warn", f"not tried: {', '.join(wrong)}", _PINS)
    return ok("packages", ", ".join(found))


def cuda() -> Check:
    """The GPU that torch sees, or why it sees none."""
    try:
        import torch
    except Exception as error:  # a broken installation may raise anything
        return failed("CUDA", error, _PINS)
    driver = _driver()
    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties()
        bfloat16 = "" if torch.cuda.is_bf16_supported(including_emulation=False) else "no bfloat16, "
        found = (
            f"{device.name}, {device.total_memory / 1e9:.1f} GB, sm_{device.major}{device.minor}{bfloat16}"
        )
        return ok("CUDA", f"{found}; CUDA {torch.version.cuda}, driver {driver or 'unknown'}")
    if driver is None:
        return ok("CUDA", "no NVIDIA driver: runs use the CPU")
    if torch.version.cuda is None:
        fix = "Install the CUDA build of torch: pip install --force-reinstall torch (docs/install.md)."
        return Check("CUDA", "fail", f"driver {driver}, but torch {torch.__version__} is a CPU build", fix)
    return Check(
        "CUDA",
        "fail",
        f"driver {driver}, torch built for CUDA {torch.version.cuda}, and no GPU that it can use",
        "See `nvidia-smi`; update the driver, or install a torch built for its CUDA version.",
    )


def _has_gpu() -> bool:
    """Whether torch sees a GPU; false where torch does not load, which `cuda` reports."""
    try:
        import torch
    except Exception:  # a broken installation may raise anything
        return False
    return torch.cuda.is_available()


def _driver() -> str | None:
    """Version of NVIDIA's driver, or None."""
    try:
        words = _DRIVER.read_text(encoding="utf-8").split()
    except OSError:
        return None
    return next((word for word in words if word.count(".") >= 1 and word[0].isdigit()), "unknown")


def unsloth() -> Check:
    """Whether Unsloth is there. It is not imported: that takes ten seconds."""
    needed = _has_gpu()
    if find_spec("unsloth") is None:
        if needed:
            return Check("Unsloth", "warn", "not installed: GPUs are served by plain transformers", _UNSLOTH)
        return ok("Unsloth", "not installed; a CPU does not need it")
    try:
        found = version("unsloth")
    except PackageNotFoundError:
        found = "of unknown version"
    return ok("Unsloth", f"{found}{'' if needed else '; a CPU does not use it by default'}")


def software() -> Iterator[Check]:
    yield python()
    yield packages()
    yield cuda()
    yield unsloth()
