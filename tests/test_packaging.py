"""Packages: complete archives, and pins that agree with each other."""

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sapo_lite import __version__

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def requirements(*lists: list[str]) -> dict[str, Requirement]:
    found = [Requirement(line) for each in lists for line in each]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def shipped_files() -> set[str]:
    """Recipes, data and CITATION.cff as the wheel must name them."""
    files = [path for kind in ("recipes", "data") for path in (ROOT / kind).rglob("*") if path.is_file()]
    files.append(ROOT / "CITATION.cff")
    return {f"sapo_lite/shipped/{path.relative_to(ROOT).as_posix()}" for path in files}


def build(kind: str, source: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(out)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, text=True)
    return next(out.iterdir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", ROOT, folder / "archive")) as archive:
        archive.extractall(folder, filter="data")
    return folder / f"sapo_lite-{__version__}"


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def test_every_direct_dependency_is_pinned_within_its_bounds() -> None:
    for name, requirement in requirements(PROJECT["dependencies"], EXTRAS["dev"]).items():
        assert name in pins(), f"constraints.txt does not pin {name}"
        assert requirement.specifier.contains(pins()[name]), f"{name}: {pins()[name]} is not {requirement}"


def test_one_version_of_unsloth_is_named_everywhere() -> None:
    (version,) = re.findall(r"^UNSLOTH := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for requirement in requirements(EXTRAS["gpu"]).values():
        assert f"<={version}" in str(requirement.specifier).split(",")
    for path in [*(ROOT / "sapo_lite").rglob("*.py"), *ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        named = re.findall(r"unsloth(?:[-_]zoo)?==([\w.]+\w)", path.read_text())
        assert set(named) <= {version}, path


@pytest.mark.slow
def test_every_imported_distribution_is_declared() -> None:
    declared = requirements(PROJECT["dependencies"], *(EXTRAS[name] for name in EXTRAS if name != "dev"))
    distributions = packages_distributions()
    ours = {"sapo_lite", "pretraining"}
    trees = [ast.parse(path.read_text()) for name in ours for path in (ROOT / name).rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    for module in {name.partition(".")[0] for name in imported} - sys.stdlib_module_names - ours:
        candidates = {canonicalize_name(name) for name in distributions.get(module, [module])}
        assert candidates & declared.keys(), f"{module} is imported but not declared in pyproject.toml"


def test_pins_carry_no_addresses() -> None:
    for name in ("pyproject.toml", "constraints.txt", "Makefile"):
        text = (ROOT / name).read_text()
        assert "://" not in text, name
        assert "index-url" not in text, name
    assert not list(ROOT.glob("*.lock"))


@pytest.mark.slow
def test_the_wheel_is_the_package_with_its_recipes_data_and_licence(wheel: Path) -> None:
    names = names_in(wheel)
    metadata = f"sapo_lite-{__version__}.dist-info"
    assert shipped_files() | {"sapo_lite/data/published_files.tsv"} <= names
    assert {f"{metadata}/licenses/LICENSE", f"{metadata}/entry_points.txt"} <= names
    assert {name.partition("/")[0] for name in names} == {"sapo_lite", metadata}
    assert not [name for name in names if "__pycache__" in name]


@pytest.mark.slow
def test_the_wheel_holds_the_lab_without_the_program_that_trained_its_backbones(wheel: Path) -> None:
    names = names_in(wheel)
    assert {"sapo_lite/lab/world.py", "sapo_lite/lab/wordings.py", "sapo_lite/lab/source.py"} <= names
    program = {path.name for path in (ROOT / "pretraining").glob("*.py")} - {"__init__.py", "__main__.py"}
    assert not {name for name in names if name.startswith("sapo_lite/lab/") and Path(name).name in program}
    assert not {name for name in names if "pretraining" in name or "families" in name}


@pytest.mark.slow
def test_a_wheel_built_from_the_sdist_is_the_same(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    assert names_in(build("wheel", sdist, tmp_path)) == names_in(wheel)


@pytest.mark.slow
def test_the_sdist_holds_what_a_developer_needs_and_no_leftovers(sdist: Path) -> None:
    for name in ("LICENSE", "README.md", "Makefile", "constraints.txt", "cli.py", "tests/test_packaging.py"):
        assert (sdist / name).is_file(), name
    assert (sdist / "pretraining/__main__.py").is_file()
    leftovers = {".venv", "runs", "dist", "build", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
    assert not leftovers & {path.name for path in sdist.iterdir()}
    assert not list(sdist.rglob("__pycache__"))
