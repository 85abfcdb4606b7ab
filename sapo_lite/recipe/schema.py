"""JSON schema of recipes, for editors: names of keys, types, choices and defaults.

`load_recipe` checks more: rules between settings, names of tasks, files.
"""

from typing import Any

from sapo_lite.recipe.sections import Recipe

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def recipe_schema() -> dict[str, Any]:
    """The schema of a recipe file. Descriptions of sections are their docstrings."""
    schema = Recipe.model_json_schema()
    del schema["properties"]["name"]  # the name of the file
    schema["required"].remove("name")
    # With tables [[sequence.task]], there is no suite, and `tasks` need not be given.
    schema["$defs"]["SequenceConfig"]["required"] = []
    return {"$schema": DIALECT, **_without_titles(schema), "title": "A recipe of sapo-lite"}


def _without_titles(value: Any) -> Any:
    """The schema without the titles that pydantic makes from names."""
    if isinstance(value, list):
        return [_without_titles(item) for item in value]
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if key != "title" or not isinstance(item, str)}
        return {key: _without_titles(item) for key, item in kept.items()}
    return value
