"""Raw rows -> a prepared dataset: find the files, fit on the training rows, encode, write; or find it done.

Two passes over the raw files: the first checks every row's labels and fits vocabularies and transforms, the second
encodes. A split by order, by fractions of time or by last rows is preceded by a count, and labels of later events by a
search for these; histories are indexed between the two. Memory follows the vocabularies and one block, never the rows.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rectrain.config import DataConfig
from rectrain.data import manifest, row_counts
from rectrain.data.columns import later_labels, special_columns
from rectrain.data.manifest import Prepared
from rectrain.data.recipe import Recipe, Say, open_recipe
from rectrain.data.shards import ShardWriter
from rectrain.data.split import SPLITS, Assign
from rectrain.data.tally import Tally
from rectrain.data.threads import in_background, load_early
from rectrain.data.writing import explained, locked, whole_folder

if TYPE_CHECKING:
    from rectrain.data.log import Log


def prepare(data: DataConfig, *, say: Say) -> Prepared:
    """The prepared dataset of this config, made now unless it is there. `say` prints a line to the user.

    Raises:
        InputError: the config does not fit the files, a row is wrong, or the folder cannot be written.
    """
    recipe = open_recipe(data, say)
    recipe.raw.check(recipe.wants)
    folder = recipe.folder
    if not recipe.is_there(say):
        with explained(folder.parent, "data.prepared_dir"):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with locked(lock_path(folder), lambda: say(f"waiting: another process prepares {folder}")):
                if not recipe.is_there(say):
                    with whole_folder(folder) as temporary:
                        _run(_with_log(recipe), temporary)
    return Prepared.load(folder).with_lengths(data.history)


def lock_path(folder: Path) -> Path:
    """Of the lock that is held while a dataset takes its place at `folder`."""
    return folder.parent / f".{folder.name}.lock"


def _with_log(recipe: Recipe) -> Recipe:
    data = recipe.data
    if later_labels(data):
        from rectrain.data import later  # loads numba, which takes a third of a second

        recipe = dataclasses.replace(recipe, later=later.of(data))
    if data.history is not None:
        from rectrain.data.log import Log  # loads numba

        recipe = dataclasses.replace(recipe, log=Log(data, recipe.features, recipe.later))
    return recipe


def _run(recipe: Recipe, folder: Path):
    """Fills the folder; the manifest comes last."""
    load_early("rectrain.data.values")  # while rows are counted
    if recipe.later:
        _find_later(recipe)
    assign = _assign(recipe)
    tally = _fit(recipe, assign)
    recipe.check_splits(tally)
    schema = recipe.features.finish(folder)
    (folder / manifest.SCHEMA).write_text(schema.to_json(), encoding="utf-8")
    if recipe.log is not None:
        _index(recipe, recipe.log, folder)
    _encode(recipe, assign, folder)
    if recipe.log is not None:
        recipe.log.remove_what_is_temporary()
    recipe.check_unchanged()
    (folder / manifest.MANIFEST).write_text(recipe.manifest(folder, tally), encoding="utf-8")


def _find_later(recipe: Recipe):
    for _, _, block in recipe.raw.blocks(special_columns(recipe.data), "finding later events"):
        for events in recipe.later.values():
            events.add(block)
    for events in recipe.later.values():
        events.finish()


def _assign(recipe: Recipe) -> Assign:
    data, raw = recipe.data, recipe.raw
    known: row_counts.Known = {}
    if data.split.by == "order":
        raw.say(f"counting rows of {raw.all[0].path}{' and other files' if len(raw.all) > 1 else ''}")
        known = {"rows": np.array([raw.count_rows(file) for file in raw.all])}
    counter = row_counts.counter(data)
    if counter is not None:
        for _, first, block in raw.blocks(special_columns(data), counter.title):
            counter.add(block, first, recipe.is_row)
        known = counter.known()
    return row_counts.assign(data, known)


def _fit(recipe: Recipe, assign: Assign) -> Tally:
    tally, last = recipe.new_tally(), None
    for file, first, block in recipe.raw.blocks(recipe.wants, "fitting"):
        if file is not last:
            recipe.features.begin_file(file.index)
            last = file
        codes = assign(file.split, first, block)
        recipe.observe(block, codes, recipe.features, tally)
        if recipe.log is not None:
            recipe.log.observe(block, codes == 0)
    return tally


def _index(recipe: Recipe, log: "Log", folder: Path):
    log.begin(folder)
    for _, _, block in recipe.raw.blocks(recipe.wants, "indexing histories"):
        log.index(block)
    log.finish()


def _encode(recipe: Recipe, assign: Assign, folder: Path):
    writers = [ShardWriter(folder, name) for name in SPLITS]
    with in_background() as run:  # a block is compressed and written while the next one is read and encoded
        for file, first, block in recipe.raw.blocks(recipe.wants, "encoding"):
            codes = np.where(recipe.is_row(block), assign(file.split, first, block), -1)
            for code, writer in enumerate(writers):
                rows = np.flatnonzero(codes == code)
                if rows.size:
                    run(writer.write, recipe.packed(block, rows, first))
    for writer in writers:
        writer.close()
