"""Recipes: every fault for which one is refused, and its message."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from sapo_lite.errors import RecipeError
from sapo_lite.recipe import AdapterConfig, ParaphraseConfig, load_recipe, paraphrase_section, shipped_recipes
from sapo_lite.recipe.toml_lines import line_numbers

SECTIONS = (
    "model, sequence, prompt, paraphrase, scoring, adapter, training, evaluation, rewrite, guard, tracking"
)


def faults(spec: str | Path, *overrides: str) -> list[str]:
    """The lines of the error that a recipe is refused with."""
    with pytest.raises(RecipeError) as caught:
        load_recipe(spec, overrides)
    return str(caught.value).splitlines()


# --- faults of overrides


def test_an_override_of_one_value_cannot_carry_another(write_recipe: Callable[..., str]) -> None:
    assert faults(write_recipe(), "seed=1\nrank = 2")[-1].startswith(
        "rank = 2: seed: expected a whole number"
    )


NO_OVERRIDES = ["adapter", "adapter.rank", "adapter.=3", "=3", "a.b.c=3", ""]


def test_an_override_of_another_form_is_refused(write_recipe: Callable[..., str]) -> None:
    for override in NO_OVERRIDES:
        assert faults(write_recipe(), override) == [
            f"--set {override}: expected section.key=value, such as adapter.rank=4"
        ], override


def test_faults_of_overrides_name_the_override(write_recipe: Callable[..., str]) -> None:
    overrides = ["adapter.rank=0", "adapter.rnak=2", "adaptor.rank=2", "evaluation.prompts=Chosen"]
    assert faults(write_recipe(), *overrides) == [
        "--set adapter.rank=0: adapter.rank: expected a whole number of at least 1, found 0",
        '--set adapter.rnak=2: adapter.rnak: no such key; did you mean "rank"?',
        "--set adaptor.rank=2: [adaptor]: no such section; did you mean [adapter]?",
        '--set evaluation.prompts=Chosen: evaluation.prompts: expected "chosen", "original", "both" or '
        '"all", found "Chosen"; did you mean "chosen"?',
    ]


# --- faults of values, keys and sections


def test_every_fault_is_reported_at_once_in_reading_order(write_recipe: Callable[..., str]) -> None:
    spec = write_recipe("""\
        # a recipe with every kind of fault
        seed = -1
        rank = 8
        name = "foo"
        prompt = "sapo"

        [model]
        nam = "lab"
        dtype = "bfloat"
        loader = \"\"\"
        [adapter] # not a section
        rank = 3
        \"\"\"
        [sequence]
        suite = ""
        tasks = [
          "195", # [training]
          195,
        ]
        train_examples = 100
        [adapter]
        rank = true
        dropout = 1
        target_modules = ["q", 3]
        learning_rate = 0.2
        zzz = 1
        batch_size = 3
        [trianing]
        epochs = 3
        [training]
        epochs = 2.0
        learning_rate = nan
        gradient_checkpointing = "yes"
        batch_size = 20
        [sequencing.foo]
    """)
    assert faults(spec, "adapter.alpha=x") == [
        "x.toml, line 2: seed: expected a whole number of at least 0, found -1",
        "x.toml, line 3: rank: no such key; did you mean adapter.rank or rewrite.rank?",
        "x.toml, line 4: name: no such key; a recipe is named after its file",
        'x.toml, line 5: prompt: expected a section [prompt], found "sapo"',
        "x.toml, line 7: model.name: expected a text in quotes, found nothing",
        'x.toml, line 8: model.nam: no such key; did you mean "name"?',
        'x.toml, line 9: model.dtype: expected "auto", "bfloat16" or "float32", found "bfloat"; '
        'did you mean "bfloat16"?',
        'x.toml, line 10: model.loader: expected "auto", "unsloth" or "transformers", '
        'found "[adapter] # not a section\\nrank = 3\\n"',
        'x.toml, line 15: sequence.suite: expected a text in quotes, found ""',
        'x.toml, line 16: sequence.tasks: expected a list of different task ids, such as ["195", "1310"], '
        'found "195" twice',
        "x.toml, line 22: adapter.rank: expected a whole number of at least 1, found true",
        "x.toml, line 23: adapter.dropout: expected a number from 0 to below 1, found 1",
        'x.toml, line 24: adapter.target_modules: expected "auto", "all-linear", or a list of different '
        'module names, such as ["q_proj", "v_proj"], found the item 3',
        "x.toml, line 25: adapter.learning_rate: no such key; did you mean training.learning_rate "
        "or rewrite.learning_rate?",
        f"x.toml, line 26: adapter.zzz: no such key; [adapter] takes {', '.join(AdapterConfig.model_fields)}",
        "x.toml, line 27: adapter.batch_size: no such key; did you mean training.batch_size, "
        "evaluation.batch_size or rewrite.batch_size?",
        "x.toml, line 28: [trianing]: no such section; did you mean [training]?",
        "x.toml, line 31: training.epochs: expected a whole number of at least 1, found 2.0",
        "x.toml, line 32: training.learning_rate: expected a number above 0, found nan",
        'x.toml, line 33: training.gradient_checkpointing: expected true or false, found "yes"',
        "x.toml, line 34: training.batch_size: expected a multiple of training.micro_batch_size (8), "
        "found 20",
        "x.toml, line 35: [sequencing]: no such section; did you mean [sequence]?",
        '--set adapter.alpha=x: adapter.alpha: expected a whole number of at least 1, found "x"',
    ]


def test_an_empty_recipe_misses_four_things(write_recipe: Callable[..., str]) -> None:
    assert faults(write_recipe("")) == [
        "x.toml: model.name: expected a text in quotes, found nothing",
        "x.toml: sequence.suite: expected a text in quotes, found nothing",
        "x.toml: sequence.tasks: expected a list of different task ids, "
        'such as ["195", "1310"], found nothing',
        'x.toml: paraphrase.model: expected the name of a model (paraphrase.backend has "ollama" or "openai" '
        "without one), found nothing",
    ]


NO_TASKS = [('"195"', '"195"'), ("[]", "an empty list"), ('[""]', 'the item ""'), ("[true]", "the item true")]


def test_tasks_are_a_list_of_names(write_recipe: Callable[..., str]) -> None:
    for tasks, found in NO_TASKS:
        assert faults(write_recipe(), f"sequence.tasks={tasks}") == [
            f"--set sequence.tasks={tasks}: sequence.tasks: expected a list of different task ids, "
            f'such as ["195", "1310"], found {found}'
        ], tasks


IMPOSSIBLE = [
    ("training.learning_rate=0", "a number above 0, found 0"),
    ("training.warmup=-0.1", "a number from 0 to below 1, found -0.1"),
    ("adapter.penalty_weight=inf", "a number of at least 0, found inf"),
    ("adapter.fisher_examples=0", "a whole number of at least 1, found 0"),
    ("adapter.fisher_decay=1.1", "a number from 0 to 1, found 1.1"),
    ("adapter.replay_share=0", "a number above 0, found 0"),
    ("adapter.replay_rows=0", "a whole number of at least 1, found 0"),
    ("adapter.replay_by=random", '"similarity" or "uniform", found "random"'),
    ("training.schedule=linear", '"cosine" or "constant", found "linear"'),
    ("prompt.hold_unit=epochs", '"steps" or "rows", found "epochs"'),
    ("paraphrase.timeout=false", "a number above 0, found false"),
    ("paraphrase.count=-1", "a whole number of at least 0, found -1"),
    ("model.name=2024-01-01", "a text in quotes, found 2024-01-01"),
    ("model.name={a = 1}", "a text in quotes, found {...}"),
    ("training.micro_batch_size=[1]", "a whole number of at least 1, found [1]"),
]


def test_impossible_values_are_refused(write_recipe: Callable[..., str]) -> None:
    for override, expected in IMPOSSIBLE:
        key = override.partition("=")[0]
        assert faults(write_recipe(), override) == [f"--set {override}: {key}: expected {expected}"], override


def test_a_value_that_is_long_is_quoted_short(write_recipe: Callable[..., str]) -> None:
    (fault,) = faults(write_recipe(), f"training.epochs={'very ' * 20}long")
    assert fault.endswith('found "very very very very very very very very very very very v...')


def test_an_unknown_key_at_the_top_is_told_what_stands_there(write_recipe: Callable[..., str]) -> None:
    assert faults(write_recipe(before="zzz = 1\n")) == [
        f"x.toml, line 1: zzz: no such key; at the top stand seed, protocol and the sections {SECTIONS}"
    ]
    assert faults(write_recipe(more="[zzz]\n")) == [
        f"x.toml, line 8: [zzz]: no such section; there are {SECTIONS}"
    ]


def test_a_race_is_for_the_mean_over_tokens_of_equal_answers(write_recipe: Callable[..., str]) -> None:
    assert faults(write_recipe(), "scoring.reduction=batch_mean", "model.cut=right", "scoring.race=true") == [
        "--set scoring.reduction=batch_mean: scoring.reduction: expected "
        '"token_mean" (scoring.race is true), found "batch_mean"',
        '--set model.cut=right: model.cut: expected "input" (scoring.race is true, and candidates that lose '
        'answer tokens cannot race), found "right"',
    ]
    # By itself, each switches the race off.
    for setting in ("scoring.reduction=batch_mean", "model.cut=right"):
        assert not load_recipe(write_recipe(), [setting]).scoring.race
    load_recipe(write_recipe(), ["scoring.reduction=batch_mean", "prompt.strategy=worst"])
    load_recipe(write_recipe(), ["scoring.reduction=batch_mean", "prompt.top_k=2"])  # nothing races


IGNORED = [
    (
        ["sampling=importance"],
        'sampling: expected "uniform" (prompt.strategy is "sapo"), found "importance"',
    ),
    (
        ["sampling=adversarial", "strategy=random"],
        'sampling: expected "uniform" (prompt.strategy is "random"), found "adversarial"',
    ),
    (["top_k=3", "strategy=paft"], 'top_k: expected 1 (prompt.strategy is "paft"), found 3'),
    (["top_k=2", "strategy=worst"], 'top_k: expected 1 (prompt.strategy is "worst"), found 2'),
    (
        ["rescore=epoch", "strategy=paft"],
        'rescore: expected "never" (prompt.strategy is "paft"), found "epoch"',
    ),
    (["rescore=epoch", "top_k=2"], 'rescore: expected "never" (prompt.top_k is 2), found "epoch"'),
    (
        ["indicator=length", "strategy=paft"],
        'indicator: expected "loss" (prompt.strategy is "paft"), found "length"',
    ),
    (["indicator=accuracy", "top_k=2"], 'indicator: expected "loss" (prompt.top_k is 2), found "accuracy"'),
    (
        ["indicator=accuracy", "rescore=epoch"],
        'indicator: expected "loss" (prompt.rescore is "epoch"), found "accuracy"',
    ),
    (
        ["rescore=epoch", "state=base"],
        'rescore: expected "never" (prompt.state is "base", but this is in the current one), found "epoch"',
    ),
    *(
        (
            ["state=base", *others],
            'state: expected "current" (no candidate is measured on the model before training), found "base"',
        )
        for others in (["strategy=fixed"], ["strategy=random"], ["strategy=paft"], ["indicator=length"])
    ),
    (
        ["temperature=1", "strategy=paft"],
        'temperature: expected 0.2 (prompt.sampling is "uniform"), found 1',
    ),
    (
        ["hold_unit=rows", "sampling=adversarial", "strategy=paft"],
        'hold_unit: expected "steps" (prompt.sampling is "adversarial", which decides by the loss of an '
        'optimiser step), found "rows"',
    ),
    (["draws=2", "strategy=paft"], 'draws: expected 4 (prompt.sampling is "uniform"), found 2'),
]


def test_what_a_strategy_would_ignore_is_refused(write_recipe: Callable[..., str]) -> None:
    for settings, expected in IGNORED:
        overrides = [f"prompt.{setting}" for setting in settings]
        assert faults(write_recipe(), *overrides) == [f"--set {overrides[0]}: prompt.{expected}"], settings


def test_nothing_is_scored_again_in_a_single_epoch(write_recipe: Callable[..., str]) -> None:
    assert faults(write_recipe(), "prompt.rescore=epoch", "training.epochs=1") == [
        '--set prompt.rescore=epoch: prompt.rescore: expected "never" (training.epochs is 1), found "epoch"'
    ]


def test_a_temperature_and_a_number_of_draws_are_above_zero(write_recipe: Callable[..., str]) -> None:
    assert faults(write_recipe(), "prompt.temperature=0", "prompt.draws=0", "prompt.rescore=always") == [
        "--set prompt.temperature=0: prompt.temperature: expected a number above 0, found 0",
        "--set prompt.draws=0: prompt.draws: expected a whole number of at least 1, found 0",
        '--set prompt.rescore=always: prompt.rescore: expected "never" or "epoch", found "always"',
    ]


def test_a_count_that_is_no_number_is_one_fault_for_paft(write_recipe: Callable[..., str]) -> None:
    for count in ("many", "-20"):
        written = f"paraphrase.count={count}"
        (fault,) = faults(write_recipe(), "prompt.strategy=paft", written)
        assert fault.startswith(f"--set {written}: paraphrase.count: expected a whole number of at least 0")


@pytest.mark.parametrize("method", ["olora", "ewc"])
def test_a_penalty_that_a_method_lives_by_has_a_weight(write_recipe: Callable[..., str], method: str) -> None:
    overrides = ["adapter.penalty_weight=0", f"adapter.method={method}"]
    assert faults(write_recipe(), *overrides) == [
        "--set adapter.penalty_weight=0: adapter.penalty_weight: expected a number above 0 "
        f'(adapter.method is "{method}"), found 0'
    ]
    load_recipe(write_recipe(), [overrides[1]])
    load_recipe(write_recipe(), [overrides[1], "adapter.penalty_weight=0.1"])
    load_recipe(write_recipe(), [overrides[0], "adapter.method=lorainc"])


def test_packing_is_automatic_or_a_switch(write_recipe: Callable[..., str]) -> None:
    assert faults(write_recipe(), "training.pack=auot") == [
        '--set training.pack=auot: training.pack: expected "auto", true or false, found "auot"; '
        'did you mean "auto"?'
    ]
    assert load_recipe(write_recipe(), ["training.pack=true"]).training.pack is True


def test_the_batch_is_a_multiple_of_the_micro_batch(write_recipe: Callable[..., str]) -> None:
    assert faults(write_recipe(), "training.batch_size=20") == [
        "--set training.batch_size=20: training.batch_size: expected a multiple of "
        "training.micro_batch_size (8), found 20"
    ]
    assert faults("x.toml", "training.micro_batch_size=7") == [
        "--set training.micro_batch_size=7: training.batch_size: expected a multiple of "
        "training.micro_batch_size (7), found 64 (the default)"
    ]


NO_MODEL = (
    'paraphrase.model: expected the name of a model (paraphrase.backend has "ollama" or "openai" '
    "without one), found nothing"
)
NO_ADDRESS = (
    'paraphrase.base_url: expected the address of an endpoint (paraphrase.backend has "openai"), '
    "found nothing"
)
TAKES = f"[paraphrase] takes {', '.join(ParaphraseConfig.model_fields)}"
NO_FILE = 'paraphrase.path: expected a file of candidates (paraphrase.backend has "file"), found nothing'


NEEDS = [
    ("ollama", [NO_MODEL]),
    ("openai", [NO_MODEL, NO_ADDRESS]),
    ("openai/m", [NO_ADDRESS]),
    ("file", [NO_FILE]),
    ("['builtin', 'file']", [NO_FILE]),
    ("['ollama/a', 'ollama']", [NO_MODEL]),
    ("['file', 'ollama', 'openai']", [NO_MODEL, NO_ADDRESS, NO_FILE]),
]


def test_a_source_needs_its_model_its_address_or_its_file(write_recipe: Callable[..., str]) -> None:
    for backend, expected in NEEDS:
        written = f"paraphrase.backend={backend}"
        assert faults(write_recipe(), written) == [f"--set {written}: {fault}" for fault in expected], backend


NO_SOURCES = [
    ("ollma", '"ollma"; did you mean "ollama"?'),
    ("Ollama", '"Ollama"; did you mean "ollama"?'),
    ("['builtin', 'opnai/m']", '"opnai/m"; did you mean "openai"?'),
    ("zzz", '"zzz"'),
    ("''", 'the item ""'),
    ("[]", "an empty list"),
    ("['']", 'the item ""'),
    ("['ollama', 3]", "the item 3"),
    ("[['ollama']]", 'the item ["ollama"]'),
    ("['file', 'file']", '"file" twice'),
    ("3", "3"),
    ("true", "true"),
    ("{ a = 1 }", "{...}"),
    ("'ollama/'", '"ollama/"'),
    ("/", '"/"'),
    ("'self/x'", '"self/x"'),
    ("'file/c.json'", '"file/c.json"'),
]


def test_sources_are_those_there_are(write_recipe: Callable[..., str]) -> None:
    for backend, found in NO_SOURCES:
        written = f"paraphrase.backend={backend}"
        assert faults(write_recipe(), written) == [
            f'--set {written}: paraphrase.backend: expected "ollama", "openai", "self", "builtin", "file" or '
            f'"lab", or a list of them, found {found}'
        ], backend


@pytest.mark.parametrize("backend", ["['self', 'ollama/m']", "['ollama/a', 'self', 'builtin', 'ollama/b']"])
def test_the_backbone_is_not_loaded_before_ollama_is_done(
    write_recipe: Callable[..., str], backend: str
) -> None:
    written = f"paraphrase.backend={backend}"
    [fault] = faults(write_recipe(), written)
    assert fault.startswith(
        f'--set {written}: paraphrase.backend: expected "self" behind "ollama", since the backbone stays in '
        "memory once it is loaded, found ["
    )
    load_recipe("x.toml", [written, "prompt.strategy=fixed"])
    load_recipe("x.toml", ["paraphrase.backend=['ollama/m', 'self', 'builtin']"])


BAD_ADDRESSES = [
    ("127.0.0.1:8000/v1", '"127.0.0.1:8000/v1"'),
    ("localhost:8000", '"localhost:8000"'),
    ("ftp://host/v1", '"ftp://host/v1"'),
    ("http://", '"http://"'),
    ("http://:8000", '"http://:8000"'),
    ("'http://[::1/v1'", '"http://[::1/v1"'),
    ("'http://host:port/v1'", '"http://host:port/v1"'),
    ("http://host:123456/v1", '"http://host:123456/v1"'),
    ("''", '""'),
    ("3", "3"),
    ("['http://host']", '["http://host"]'),
    (
        "http://me:secret@host/v1",
        "an address with a key or a password in it, which belong in OPENAI_API_KEY",
    ),
    (
        "http://secret@host/v1",
        "an address with a key or a password in it, which belong in OPENAI_API_KEY",
    ),
    (
        "http://host/v1?key=se",
        "an address with a key or a password in it, which belong in OPENAI_API_KEY",
    ),
    ("'http://host/v1#se'", "an address with a key or a password in it, which belong in OPENAI_API_KEY"),
]


def test_the_address_of_an_endpoint_is_one_and_holds_no_secret(write_recipe: Callable[..., str]) -> None:
    for url, found in BAD_ADDRESSES:
        written = f"paraphrase.base_url={url}"
        assert faults(write_recipe(), written) == [
            f"--set {written}: paraphrase.base_url: expected an address such as http://127.0.0.1:8000/v1, "
            f"found {found}"
        ], url


def test_a_secret_in_an_address_is_not_repeated(write_recipe: Callable[..., str]) -> None:
    [fault] = faults(write_recipe(more='base_url = "https://me:hunter2@host/v1"\n'))
    assert fault.startswith("x.toml, line 8: paraphrase.base_url: expected an address such as")
    assert "hunter2" not in fault


@pytest.mark.parametrize(("minimum", "count"), [(21, 20), (3, 2)])
def test_no_more_paraphrases_are_insisted_on_than_asked_for(
    write_recipe: Callable[..., str], minimum: int, count: int
) -> None:
    overrides = [f"paraphrase.minimum={minimum}", f"paraphrase.count={count}"]
    assert faults(write_recipe(), *overrides) == [
        f"--set paraphrase.minimum={minimum}: paraphrase.minimum: "
        f"expected at most paraphrase.count ({count}), found {minimum}"
    ]


IMPOSSIBLE_PARAPHRASING = [
    ("paraphrase.minimum=-1", "a whole number of at least 0, found -1"),
    ("paraphrase.minimum=0.5", "a whole number of at least 0, found 0.5"),
    ("paraphrase.attempts=0", "a whole number of at least 1, found 0"),
    ("paraphrase.parallel=0", "a whole number of at least 1, found 0"),
    ("paraphrase.unlike=1", "true or false, found 1"),
    ("paraphrase.unlike=yes", 'true or false, found "yes"'),
    ("paraphrase.allow_cloud='true'", 'true or false, found "true"'),
    ("paraphrase.temperature=-0.1", "a number of at least 0, found -0.1"),
    ("paraphrase.temperature=nan", "a number of at least 0, found nan"),
    ("paraphrase.timeout=0", "a number above 0, found 0"),
    ("paraphrase.deadline=inf", "a number above 0, found inf"),
    ("paraphrase.model=''", 'a text in quotes, found ""'),
    ("paraphrase.model=8", "a text in quotes, found 8"),
    ("paraphrase.host=11434", "a text in quotes, found 11434"),
    ("paraphrase.path=[]", "a text in quotes, found []"),
]


def test_impossible_settings_of_paraphrasing_are_refused(write_recipe: Callable[..., str]) -> None:
    for override, expected in IMPOSSIBLE_PARAPHRASING:
        key = override.partition("=")[0]
        assert faults(write_recipe(), override) == [f"--set {override}: {key}: expected {expected}"], override


def test_a_misspelt_key_of_paraphrasing_finds_its_neighbour(write_recipe: Callable[..., str]) -> None:
    assert faults(write_recipe(), "paraphrase.baseurl=x", "paraphrase.api_key=x") == [
        '--set paraphrase.baseurl=x: paraphrase.baseurl: no such key; did you mean "base_url"?',
        f"--set paraphrase.api_key=x: paraphrase.api_key: no such key; {TAKES}",
    ]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [f"command line: {NO_MODEL}"]),
        ({"backend": ["ollama"]}, [f"--backend: {NO_MODEL}"]),
        ({"backend": ["openai/m"]}, [f"--backend: {NO_ADDRESS}"]),
        ({"backend": ["file"]}, [f"--backend: {NO_FILE}"]),
        (
            {"model": "m", "count": -1, "temperature": -2.0},
            [
                "--count: paraphrase.count: expected a whole number of at least 0, found -1",
                "--temperature: paraphrase.temperature: expected a number of at least 0, found -2.0",
            ],
        ),
        (
            {"backend": ["ollma"]},
            [
                '--backend: paraphrase.backend: expected "ollama", "openai", "self", "builtin", "file" or '
                '"lab", or a list of them, found "ollma"; did you mean "ollama"?'
            ],
        ),
        (
            {"backend": ["builtin"], "nonsense": 1},
            [f"--nonsense: paraphrase.nonsense: no such key; {TAKES}"],
        ),
    ],
    ids=str,
)
def test_options_of_a_command_are_refused_by_their_names(
    settings: dict[str, object], expected: list[str]
) -> None:
    with pytest.raises(RecipeError) as caught:
        paraphrase_section(settings)
    assert str(caught.value).splitlines() == expected


def test_broken_toml_is_one_clear_error(write_recipe: Callable[..., str]) -> None:
    assert faults(write_recipe("[model]\nname = lab\n")) == [
        "x.toml: not valid TOML: Invalid value (at line 2, column 8); "
        "texts stand in double quotes, switches are true or false"
    ]


def test_a_recipe_that_is_not_utf8_is_refused_and_a_byte_order_mark_is_not(
    write_recipe: Callable[..., str],
) -> None:
    Path(write_recipe("")).write_bytes(b'name = "\xff"')
    assert faults("x.toml") == ["x.toml: expected UTF-8 text, found other bytes at byte 8"]
    content = Path(write_recipe()).read_bytes()
    Path("x.toml").write_bytes(b"\xef\xbb\xbf" + content)
    assert load_recipe("x.toml").model.name == "lab"


@pytest.mark.parametrize("spec", ["ni_seq_cl", "recipes/ni_seq_cl.toml", "ni_seq_cl.toml"])
def test_a_missing_recipe_lists_the_shipped_ones_and_the_nearest(tmp_path: Path, spec: str) -> None:
    assert faults(spec) == [
        f"{spec}: no such recipe. Expected a path to a .toml file, or the name of a shipped recipe: "
        f"{', '.join(path.stem for path in shipped_recipes())}; "
        'did you mean "ni_seq_c1"?'
    ]


def test_a_folder_or_another_kind_of_file_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    assert "no such recipe. Expected a path to a .toml file" in faults(tmp_path / "x.json")[0]
    assert "no such recipe. Expected a path to a .toml file" in faults(tmp_path)[0]


# --- where lines are


def test_line_numbers_are_not_fooled_by_strings_arrays_and_comments() -> None:
    text = textwrap.dedent('''\
        top = "# [no] \\" x = 1" # [nor.this]

        [ model ] # comment with "
        "name" = 'it"s'
        text = """
        fake = 1
        [fake]
        ends with a quote""""
        after.dotted = 1
        tasks = [ # [
          "a = 1", """
        b = 2""", [1,
          2],
        ]
        last = { x = 1, y = "}" }
        literal = \'\'\'
        fake2 = "\'\'\'
        [[array . "of"]]
        end = 1''')
    assert line_numbers(text) == {
        "top": 1,
        "model": 3,
        "model.name": 4,
        "model.text": 5,
        "model.after.dotted": 9,
        "model.tasks": 10,
        "model.last": 15,
        "model.literal": 16,
        "array.of[1]": 18,
        "array.of[1].end": 19,
    }


def test_dotted_keys_and_inline_tables_find_a_line(write_recipe: Callable[..., str]) -> None:
    spec = write_recipe("""\
        model = { name = "lab", rank = 3 }
        adapter.rank = 0
        sequence = { suite = "S", tasks = [1] }
        paraphrase = { backend = "builtin" }
    """)
    assert faults(spec) == [
        "x.toml, line 1: model.rank: no such key; did you mean adapter.rank or rewrite.rank?",
        "x.toml, line 2: adapter.rank: expected a whole number of at least 1, found 0",
    ]


# --- values and texts without end


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("adapter.rank=100000", "a whole number of at least 1, found 100000 (at most 16,384)"),
        ("training.epochs=100000000000000000000", "found 100000000000000000000 (at most 1,000,000,000)"),
        ("adapter.replay_share=1e18", "a number above 0, found 1e+18 (at most 1,000,000,000)"),
        ("evaluation.robustness=1000000", "a whole number of at least 0, found 1000000 (at most 10,000)"),
        ("paraphrase.count=100000", "a whole number of at least 0, found 100000 (at most 10,000)"),
        ("paraphrase.parallel=100000", "a whole number of at least 1, found 100000 (at most 1,000)"),
        ("rewrite.temperature=1e-300", "a number of at least 0.001, found 1e-300"),
        ('model.name="a\\u0000b"', "a text in quotes, found a text with the character NUL in it"),
        (f"sequence.suite={'x' * 300}", "of 300 bytes (a name has at most 255)"),
        (f"seed={'9' * 5000}", "expected numbers of at most 4300 digits, found a longer one"),
        (f"seed={'[' * 5000}{']' * 5000}", "expected at most 50 brackets in one another, found more"),
        ("model.name=\udcff", "expected whole characters in UTF-8, found half of one"),
    ],
)
def test_a_value_without_measure_is_one_fault(setting: str, found: str) -> None:
    with pytest.raises(RecipeError) as refusal:
        load_recipe("lab", [setting])
    assert found in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 1000


def test_a_seed_may_have_any_size() -> None:
    assert load_recipe("lab", ["seed=99999999999999999999"]).seed == 99999999999999999999


def test_deep_and_long_toml_is_refused_in_a_sentence(write_recipe: Callable[..., str]) -> None:
    for more, found in (
        (f"\nx = {'[' * 3000}{']' * 3000}", "expected at most 50 brackets in one another, found more"),
        (f"\nx = {'9' * 5000}", "expected numbers of at most 4300 digits, found a longer one"),
    ):
        with pytest.raises(RecipeError, match=found):
            load_recipe(write_recipe(more=more))


def test_a_name_that_is_a_list_is_a_fault(write_recipe: Callable[..., str]) -> None:
    with pytest.raises(RecipeError, match=r"sequence.task\[1\].name: expected a text in quotes"):
        load_recipe(
            write_recipe('[model]\nname = "lab"\n[[sequence.task]]\nname = ["x"]\ninstruction = "x"\n')
        )


def test_lines_are_counted_once_in_a_recipe_of_many_lines() -> None:
    text = "# x\n\n" * 100_000 + "seed = 1\n"
    assert line_numbers(text) == {"seed": 200_001}  # minutes, if every line were counted from the start
