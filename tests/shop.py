"""Three tasks of a shop in files of different formats, and a recipe of them."""

import csv
import json
from pathlib import Path

WORDS = {"billing": "invoice", "shipping": "parcel", "returns": "broken"}
TICKETS = [
    {
        "id": f"{number}",
        "subject": f"{word} {number}",
        "body": f"My {word} is number {number} .",
        "topic": topic,
    }
    for topic, word in WORDS.items()
    for number in range(20)
]  # sorted by topic, as files often are
REVIEWS = [{"review": f"It was the {n} th day .", "stars": n % 2 + 1} for n in range(40)]
QUESTIONS = [
    {
        "context": f"Ann {n} went to town {n} .",
        "question": f"Where did Ann {n} go ?",
        "answer": f"to town {n}",
    }
    for n in range(20)
]

RECIPE = """\
[model]
name = "lab"
quantization = "none"
dtype = "float32"
loader = "transformers"
max_source_tokens = 128
max_answer_tokens = 16

[[sequence.task]]
name = "tickets"
file = "tickets.csv"
input = "{subject}\\n{body}"
answer = "topic"
instruction = "Which team should answer this ticket?"
suffix = "Answer with one label."
labels = "auto"
test = 0.2

[[sequence.task]]
name = "reviews"
file = "reviews.jsonl"
answer = "stars"
instruction = "How many stars does the review give?"
labels = [1, 2]
test = 10

[[sequence.task]]
name = "questions"
file = "questions.json"
input = "{context}\\n{question}"
instruction = "Answer the question from the text."

[paraphrase]
backend = "builtin"
count = 2
"""


def write_shop(folder: Path, recipe: str = RECIPE) -> Path:
    """Write the files and the recipe; the recipe's path."""
    with (folder / "tickets.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(TICKETS[0]))
        writer.writeheader()
        writer.writerows(TICKETS)
    lines = "\n".join(map(json.dumps, REVIEWS))
    (folder / "reviews.jsonl").write_text(lines, encoding="utf-8")
    (folder / "questions.json").write_text(json.dumps(QUESTIONS), encoding="utf-8")
    (folder / "shop.toml").write_text(recipe, encoding="utf-8")
    return folder / "shop.toml"
