"""`sapo-lite score`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from sapo_lite.cli.options import OUTPUT, Offline, Plain
from sapo_lite.cli.terminal import is_stdout, wide_console, working, write_json
from sapo_lite.prompts.sources import SOURCES
from sapo_lite.support.shipped import typed_path

_BACKENDS = [name for name, source in SOURCES.items() if source.stands_alone]

_PROMPTS, _SCORING, _MODEL = "Prompts", "Scoring", "Model"

_Model = Annotated[
    str,
    typer.Argument(
        help="A hub name, a folder, FILE.gguf, ollama:NAME, 'smollm2', or 'lab', the embedded one."
    ),
]
_Examples = Annotated[
    Path, typer.Argument(help="File of examples: .jsonl, .json, .csv, .tsv or .parquet.", parser=typed_path)
]
_Prompts = Annotated[
    Path | None,
    typer.Argument(
        help="File of prompts, the original first: text, one a line; a .json list; or a candidates file.",
        parser=typed_path,
    ),
]
_Task = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Task of a candidates file that has several.", rich_help_panel=_PROMPTS
    ),
]
_Instruction = Annotated[str | None, typer.Option(help="Original prompt.", rich_help_panel=_PROMPTS)]
_Suffix = Annotated[
    str, typer.Option(help="Text that closes every prompt, after the input.", rich_help_panel=_PROMPTS)
]
_Input = Annotated[
    str | None, typer.Option("--input", help="Column of the inputs.", rich_help_panel=_SCORING)
]
_Answer = Annotated[
    str | None, typer.Option("--answer", help="Column of the answers.", rich_help_panel=_SCORING)
]
_Seed = Annotated[
    int,
    typer.Option(help="Seed of the paraphrases and of the order of a race.", rich_help_panel=_SCORING),
]
_Generate = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Score N paraphrases of --instruction.", rich_help_panel=_PROMPTS),
]
_Backend = Annotated[
    str,
    typer.Option(metavar="|".join(_BACKENDS), help="Source of the paraphrases.", rich_help_panel=_PROMPTS),
]
_Paraphraser = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Name of the paraphrasing model in Ollama.", rich_help_panel=_PROMPTS),
]
_Adapter = Annotated[
    Path | None,
    typer.Option(
        help="Folder of a PEFT adapter to put on the model.",
        metavar="FOLDER",
        parser=typed_path,
        rich_help_panel=_MODEL,
    ),
]
_Limit = Annotated[
    int,
    typer.Option(
        "--examples", min=1, help="Number of examples to use, from the first on.", rich_help_panel=_SCORING
    ),
]
_Race = Annotated[
    bool,
    typer.Option(
        "--race/--all",
        help="Drop prompts that are clearly not the best, or score all.",
        rich_help_panel=_SCORING,
    ),
]
_MaxTokens = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Length in tokens to cut inputs to.",
        show_default="what the model reads",
        rich_help_panel=_SCORING,
    ),
]
_Quantization = Annotated[
    Literal["none", "nf4"] | None,
    typer.Option(
        help="Load the weights in 4 bits, or not.", show_default="as it is stored", rich_help_panel=_MODEL
    ),
]
_Dtype = Annotated[
    Literal["auto", "bfloat16", "float32"],
    typer.Option(
        help="Number format to compute in; auto: bfloat16 where it is faster.", rich_help_panel=_MODEL
    ),
]
_Loader = Annotated[
    Literal["transformers", "unsloth"],
    typer.Option(help="Library that loads the model.", rich_help_panel=_MODEL),
]
_ChatTemplate = Annotated[
    str | None,
    typer.Option(
        metavar="model|chatml|none|FILE",
        help="Template around a prompt and its answer.",
        show_default="the adapter's, or the model's own",
        rich_help_panel=_MODEL,
    ),
]
_JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        parser=typed_path,
        help="Write the result as JSON; - for stdout.",
        rich_help_panel=OUTPUT,
    ),
]


def score(
    model: _Model,
    examples: _Examples,
    prompts: _Prompts = None,
    task: _Task = None,
    instruction: _Instruction = None,
    generate: _Generate = None,
    backend: _Backend = "ollama",
    paraphraser: _Paraphraser = None,
    adapter: _Adapter = None,
    suffix: _Suffix = "",
    limit: _Limit = 250,
    race: _Race = True,
    input_name: _Input = None,
    answer_name: _Answer = None,
    max_tokens: _MaxTokens = None,
    quantization: _Quantization = None,
    dtype: _Dtype = "auto",
    loader: _Loader = "transformers",
    chat_template: _ChatTemplate = None,
    seed: _Seed = 0,
    json_file: _JsonFile = None,
    offline: Offline = False,
    plain: Plain = False,
) -> None:
    """Rank prompts by their answer loss under a model as it is: a leaderboard for your own trainer."""
    from sapo_lite.leaderboard.score_files import score_files
    from sapo_lite.report.tables import leaderboard_view

    on_stdout = is_stdout(json_file)
    # Made before `working` redirects stdout and stderr, which libraries write to.
    table = wide_console(sys.stderr if on_stdout else sys.stdout)
    with working(f"score {model}", plain, then="no result was written") as progress:
        result = score_files(
            model,
            examples,
            prompts,
            task=task,
            instruction=instruction,
            generate=generate,
            backend=backend,
            paraphraser=paraphraser,
            adapter=adapter,
            suffix=suffix,
            limit=limit,
            race=race,
            input_name=input_name,
            answer_name=answer_name,
            max_tokens=max_tokens,
            quantization=quantization,
            dtype=dtype,
            loader=loader,
            chat_template=chat_template,
            seed=seed,
            progress=progress,
        )
    table.print(leaderboard_view(result.board))
    if json_file is not None:
        write_json(json_file, result.to_json())
