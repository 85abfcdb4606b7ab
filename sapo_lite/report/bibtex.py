"""BibTeX of the entries of CITATION.cff."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from sapo_lite import __version__
from sapo_lite.support.shipped import shipped

_KINDS = {"conference-paper": "inproceedings", "article": "article", "software": "software"}
_SPECIAL = re.compile(r"([&%$#_])")


def bibtex(abbreviations: Iterable[str]) -> str:
    """BibTeX of sapo-lite and of the references with these abbreviations, in this order."""
    content = yaml.safe_load(shipped("CITATION.cff").read_text(encoding="utf-8"))
    references = {entry["abbreviation"]: entry for entry in content["references"]}
    itself = {key: content[key] for key in ("title", "authors", "type")}
    itself |= {"abbreviation": "sapo-lite", "version": __version__}
    entries = [itself, *(references[name] for name in abbreviations)]
    return "\n".join(_entry(entry) for entry in entries)


def _entry(entry: Mapping[str, Any]) -> str:
    fields = "".join(f"  {name} = {{{value}}},\n" for name, value in _fields(entry))
    return f"@{_KINDS[entry['type']]}{{{_key(entry)},\n{fields}}}\n"


def _key(entry: Mapping[str, Any]) -> str:
    """`shi2026sapo`: family name, year, abbreviation."""
    family = entry["authors"][0].get("family-names", "")
    ascii_only = unicodedata.normalize("NFKD", f"{family}{entry.get('year', '')}{entry['abbreviation']}")
    return re.sub("[^a-z0-9]", "", ascii_only.lower())


def _fields(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "title", f"{{{_text(entry['title'])}}}"
    yield "author", " and ".join(_author(author) for author in entry["authors"])
    arxiv = _arxiv(entry)
    if "conference" in entry:
        yield "booktitle", _text(entry["conference"]["name"])
    elif "journal" in entry:
        yield "journal", _text(entry["journal"])
    elif arxiv:
        yield "journal", f"arXiv preprint arXiv:{arxiv}"
    for name, field in (("volume", "volume"), ("number", "issue"), ("version", "version"), ("year", "year")):
        if field in entry:
            yield name, str(entry[field])
    if arxiv:
        yield "eprint", arxiv
        yield "archiveprefix", "arXiv"
    yield from ((name, str(entry[name])) for name in ("doi", "url") if name in entry)


def _arxiv(entry: Mapping[str, Any]) -> str:
    values = [identifier["value"] for identifier in entry.get("identifiers", ())]
    return next((value.removeprefix("arXiv:") for value in values if value.startswith("arXiv:")), "")


def _author(author: Mapping[str, str]) -> str:
    if "name" in author:  # "others" is a word of BibTeX; other names are not to be taken apart
        return "others" if author["name"] == "others" else f"{{{_text(author['name'])}}}"
    family = author["family-names"]
    family = f"{{{family}}}" if " " in family else family
    return f"{family}, {author['given-names']}"


def _text(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
