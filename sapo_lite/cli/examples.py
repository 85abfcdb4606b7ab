"""Examples at the end of every command's help."""

import typer

# Two or more of each command. Their files are those of the documentation; "lab" is shipped.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "run": (
        "sapo-lite run lab",
        "sapo-lite run my.toml --set training.epochs=3 --out runs/short",
    ),
    "new": (
        "sapo-lite new my.toml tickets.csv reviews.jsonl qa.json --model lab",
        "sapo-lite new news.toml hf:ag_news",
    ),
    "plan": (
        "sapo-lite plan lab",
        'sapo-lite plan ni_seq_c1_4b --data FOLDER --card "RTX 4060"',
    ),
    "doctor": (
        "sapo-lite doctor",
        "sapo-lite doctor --gpu --json",
    ),
    "compare": (
        "sapo-lite compare lab --strategies fixed,sapo --seeds 5",
        "sapo-lite compare runs/compare-lab-1a2b3c4d --format latex",
        "sapo-lite compare lab --seeds 10 --on ray --set model.dtype=float32",
    ),
    "probe": (
        "sapo-lite probe lab --after 2 --seeds 3",
        "sapo-lite probe my.toml --orders 1 --dry-run",
    ),
    "paraphrase": (
        'sapo-lite paraphrase "Is the review good or bad?" --labels good,bad --backend builtin -n 5',
        "sapo-lite paraphrase my.toml --backend ollama/qwen3:8b --json candidates.json",
    ),
    "score": (
        "sapo-lite score lab reviews.jsonl prompts.txt",
        'sapo-lite score Qwen/Qwen3-0.6B reviews.jsonl --instruction "Good or bad?" --generate 10',
    ),
    "show": (
        "sapo-lite show runs/lab-20260131-142500",
        "sapo-lite show runs/compare-lab-1a2b3c4d/sapo-lorainc-0",
    ),
    "runs": (
        "sapo-lite runs",
        "sapo-lite runs runs/compare-lab-1a2b3c4d",
    ),
    "diff": (
        "sapo-lite diff runs/lab-20260131-142500 --stage 2 --stage 5 --task mood",
        "sapo-lite diff runs/lab-20260131-142500 --task stars --kind original --json rows.json",
    ),
    "report": (
        "sapo-lite report runs/lab-20260131-142500 --open",
        "sapo-lite report runs/compare-lab-1a2b3c4d --out comparison.html",
        "sapo-lite report runs/lab-20260131-142500 --figures figures",
    ),
    "watch": (
        "sapo-lite watch runs/lab-20260131-142500",
        "sapo-lite watch runs/compare-lab-1a2b3c4d/sapo-lorainc-0",
    ),
    "export": (
        "sapo-lite export runs/lab-20260131-142500 --to adapter",
        "sapo-lite export runs/lab-20260131-142500 --stage 2 --to ollama --quant q8_0 --create",
    ),
    "chat": (
        "sapo-lite chat runs/lab-20260131-142500 --task mood",
        "sapo-lite chat runs/lab-20260131-142500 --task stars --beside 1",
    ),
    "predict": (
        "sapo-lite predict runs/lab-20260131-142500 new.csv --task mood",
        "sapo-lite predict runs/lab-20260131-142500 new.jsonl --input text --out answers.jsonl",
    ),
    "cite": (
        "sapo-lite cite runs/lab-20260131-142500",
        "sapo-lite cite ni_seq_c1 > papers.bib",
    ),
    "recipes": (
        "sapo-lite recipes",
        "sapo-lite recipes show lab",
    ),
    "recipes show": (
        "sapo-lite recipes show lab",
        "sapo-lite recipes show ni_seq_c1",
    ),
    "recipes schema": (
        "sapo-lite recipes schema > recipe.schema.json",
        "sapo-lite recipes schema | python -m json.tool",
    ),
    "recipes copy": (
        "sapo-lite recipes copy lab my.toml",
        "sapo-lite recipes copy ni_seq_c1 .",
    ),
    "data show": (
        "sapo-lite data show lab mood",
        "sapo-lite data show my.toml --rows 5 --split test",
    ),
    "data check": (
        "sapo-lite data check my.toml",
        "sapo-lite data check data/lab --model lab --json findings.json",
    ),
    "data fetch": (
        "sapo-lite data fetch superni",
        "sapo-lite data fetch superni --task 195 --task 1310",
    ),
}


def add_examples(app: typer.Typer, before: str = "") -> None:
    """Give every command of the app, and of the apps in it, its examples as the last lines of its help."""
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        command.epilog = _shown(f"{before}{name}")
    for group in app.registered_groups:
        group.epilog = _shown(f"{before}{group.name}")
        if group.typer_instance is not None:
            add_examples(group.typer_instance, f"{before}{group.name} ")


def _shown(name: str) -> str | None:
    """Lines for typer, which joins those without an empty line between them."""
    return "\n\n".join(["Examples:", *EXAMPLES[name]]) if name in EXAMPLES else None
