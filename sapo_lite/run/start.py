"""A run from Python, and the results of a finished run. Imports torch only if there is work to do."""

import warnings
from pathlib import Path

from sapo_lite.data.fingerprint import data_fingerprint
from sapo_lite.recipe import Recipe
from sapo_lite.run.binding import require_same
from sapo_lite.run.folder import RunFolder, choose_folder
from sapo_lite.run.inputs import inputs_of
from sapo_lite.run.paths import RESULTS
from sapo_lite.run.progress import RunProgress, Silent
from sapo_lite.run.results import Results, is_finished, read_results
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.support.checked_json import is_whole


def finished_results(recipe: Recipe, path: Path, data: Path | None = None) -> Results | None:
    """The results of the recipe's run in a folder; None if it is not finished, or they are damaged.

    Writes nothing.

    Raises:
        RunFolderError: the folder holds a run of another recipe, or of other data or inputs.
    """
    if not is_finished(path) or not is_whole(path / RESULTS):
        return None
    tasks = load_run_tasks(recipe.sequence, data)
    require_same(path, recipe.resolved(), data_fingerprint(tasks), inputs_of(recipe, tasks))
    return read_results(path)


def run_recipe(
    recipe: Recipe,
    out: Path | str | None = None,
    *,
    data: Path | str | None = None,
    fresh: bool = False,
    accept_edits: bool = False,
    pull: bool = False,
    processes: int = 1,
    progress: RunProgress | None = None,
) -> Results:
    """Run a recipe (sapo_lite.load_recipe), or resume its run in the folder `out`, and return the results.

    out: run folder; by default a new one in `runs/`
    data: folder that holds the suites of tasks
    fresh: discard the run in `out`, once the new one can begin
    accept_edits: take candidates that were edited by hand, and make again what was made from the old ones
    pull: have Ollama download the paraphrasing model if it lacks it
    processes: that compute together, each on a GPU of its own where there are any; as with multiprocessing, a
        script that asks for several needs `if __name__ == "__main__":`
    progress: display of the work; by default nothing is shown, and notices become warnings

    Raises:
        SapoLiteError: anything that a user can fix; the message says how.
    """
    path = choose_folder(recipe.name, None if out is None else Path(out), resume=False if fresh else None)
    suites = None if data is None else Path(data)
    if not (fresh or accept_edits) and (found := finished_results(recipe, path, suites)):
        return found
    from sapo_lite.model.notices import noticed
    from sapo_lite.run.pipeline import run

    shown = progress or Silent(warnings.warn)
    with RunFolder(path, fresh=fresh) as folder, noticed(shown.notice):
        return run(recipe, folder, shown, suites, pull=pull, accept_edits=accept_edits, processes=processes)
