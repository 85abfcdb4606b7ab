"""Runs with answers, losses and candidates for tests of reports; and pages as parsed HTML."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

from kept import put
from made_runs import history_line, made_run
from sapo_lite.evaluation.rows import Evaluation, Row
from sapo_lite.prompts.choice import Choice
from sapo_lite.prompts.losses import CandidateLoss, scores_to_json
from sapo_lite.run.results import read_results, write_results
from sapo_lite.run.stage_folder import StageRecord
from sapo_lite.types import Candidate

SCRIPT = "<script>document.title = 'hacked'</script>"
R = [[0.0, 12.5], [100.0, 10.0], [50.0, 75.25]]
POOL = [Candidate(0, "Name the stars.", "original"), Candidate(1, f"Count the stars {SCRIPT}.", "lab")]
_VOID = {"meta", "link", "input", "br", "wbr"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list["Element | str"] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    def all(self, tag: str, role: str = "") -> list["Element"]:
        """The elements of this tag inside, with this class if one is named."""
        inside = [c for c in self.children if isinstance(c, Element)]
        own = [
            c for c in inside if c.tag == tag and (not role or role in c.attributes.get("class", "").split())
        ]
        return own + [found for c in inside for found in c.all(tag, role)]

    def every(self) -> list["Element"]:
        inside = [c for c in self.children if isinstance(c, Element)]
        return [*inside, *(found for c in inside for found in c.every())]


class _Strict(HTMLParser):
    """Builds a tree; an end tag without its start, or the other way round, is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parsed(page: str) -> Element:
    parser = _Strict()
    parser.feed(page)
    parser.close()
    (root,) = parser.open
    return root


def rows(answers: Sequence[str], scores: Sequence[float]) -> Evaluation:
    found = [Row(f"input {SCRIPT}", "1", a, s) for a, s in zip(answers, scores, strict=True)]
    return Evaluation(found, {"task_metric": sum(scores) / len(scores)})


def full_run(path: Path) -> Path:
    """A run of two tasks with everything that a report shows: `stars` is learned, then half forgotten."""
    made_run(path, R, strategy="sapo")
    results = read_results(path)
    write_results(path, replace(results, chosen={"stars": POOL[1], "mood": POOL[0]}))
    for stage in ("00-zero-shot", "01-stars", "02-mood"):
        (path / stage / "predictions").mkdir(parents=True)
    (path / "candidates").mkdir()
    put(path / "candidates" / "stars.json", {"task": "stars", "candidates": [asdict(c) for c in POOL]})
    answers = {"00-zero-shot": (["2", "3"], [0.0, 0.0]), "01-stars": (["1", "1"], [100.0, 100.0])}
    answers["02-mood"] = (["1", SCRIPT], [100.0, 0.0])
    for number, (stage, (texts, scores)) in enumerate(answers.items()):
        for task in ("stars", "mood"):
            put(path / stage / "predictions" / f"{task}-chosen.json", asdict(rows(texts, scores)))
        learned = stage.partition("-")[2]
        choice = Choice("sapo", POOL[1], 0.5, 0.7, None, 4, False, 4, False)
        record = StageRecord(
            {learned: choice} if number else {},
            {"chosen": [{"task_metric": score} for score in R[number]]},
        )
        put(path / stage / "stage.json", asdict(record))
    losses = [
        CandidateLoss(0, (1.0, 2.0, 3.0, 4.0), (2, 2, 2, 2), (0, 1, 2, 3), 4),
        CandidateLoss(1, (0.5, 1.0, 1.0, 1.5), (2, 2, 2, 2), (0, 1, 2, 3), 4),
    ]
    put(path / "01-stars" / "losses.json", scores_to_json(losses))
    lines = [history_line(n, 4, loss=2.0 / n, penalty=0.1 * n) for n in range(1, 5)]
    (path / "01-stars" / "history.jsonl").write_text("".join(lines))
    return path
