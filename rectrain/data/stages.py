"""A preparation in stages that several machines share: count -> fit -> merge -> encode, over one folder.

count    what the split must know of the rows of each file before any row is assigned (row_counts.py)
fit      what the training rows of each file come to, and its rows of each split
merge    vocabularies and parameters of all files, and with them the schema; one process
encode   shards, each from the files that hold its rows; who finds all of them there makes them the dataset

Files are shared out for count and fit, shards for encode. What is done is not done again, what a killed process left
undone is. The dataset is that of `prepare`, byte for byte: there too fits are put together file by file, and shards
begin at fixed rows of their split.

Letters: F files.
"""

import shutil
from collections.abc import Iterator

import numpy as np

from rectrain.config import DataConfig, StageConfig
from rectrain.data import manifest, row_counts, stage_shards
from rectrain.data.blocks import Block
from rectrain.data.columns import special_columns
from rectrain.data.manifest import Prepared
from rectrain.data.plan import Features
from rectrain.data.prepare import lock_path
from rectrain.data.recipe import Say, open_recipe
from rectrain.data.split import Assign
from rectrain.data.stage_files import StageFiles
from rectrain.data.stage_job import Job
from rectrain.data.tally import Tally
from rectrain.data.threads import ahead
from rectrain.data.writing import explained, locked
from rectrain.errors import InputError
from rectrain.schema import Schema


def run_stage(data: DataConfig, config: StageConfig, *, say: Say) -> Prepared | None:
    """Does one part of one stage. `say` prints a line to the user.

    Returns:
        The dataset; None while it is not complete.
    Raises:
        InputError: an earlier stage is not done, raw files changed since, the data set is an event log; as `prepare`.
    """
    if data.history is not None:
        raise InputError(
            f"prepare.stage={config.stage}: data.history brings together the events of a user from all files, which "
            "takes one process. Set prepare.stage=null."
        )
    recipe = open_recipe(data, say)
    job = Job(recipe, config, StageFiles(recipe.folder))
    if not recipe.is_there(say):
        with explained(recipe.folder.parent, "data.prepared_dir"):
            _run(job)
        if not recipe.folder.exists():
            return None
    shutil.rmtree(job.files.path, ignore_errors=True)
    return Prepared.load(recipe.folder)


def _run(job: Job):
    job.recipe.folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        job.begin()
        {"count": _count, "fit": _fit, "merge": _merge, "encode": _encode}[job.stage](job)
    except FileNotFoundError:
        if not job.recipe.folder.exists():  # else another process made the dataset, and removed what its stages left
            raise


def _count(job: Job):
    data, raw = job.recipe.data, job.recipe.raw
    if not row_counts.are_needed(data):
        job.say(f"data.split.by={data.split.by} needs no count; next: fit")
        return
    undone, counter = job.undone(), row_counts.counter(data)
    if counter is None:
        for file in undone:
            job.keep(file, {"rows": np.array(raw.count_rows(file))})
    else:
        for file, blocks in job.by_file(special_columns(data), counter.title, undone):
            job.keep(file, _counted(job, blocks))
    if not job.files.missing("count", raw.all):
        _known(job)
    job.say_next("fit")


def _counted(job: Job, blocks: Iterator[Block]) -> dict[str, np.ndarray]:
    counter, num_rows = row_counts.counter(job.recipe.data), 0
    assert counter is not None
    for block in blocks:
        counter.add(block, block.first_row, job.recipe.is_row)
        num_rows += block.num_rows
    return {"rows": np.array(num_rows), **counter.state()}


def _known(job: Job) -> row_counts.Known:
    """What the split must know of all rows, and `rows`, int (F,); put together by who comes to it first."""
    known = job.files.all("count")
    if known is None:
        job.check_done("count")
        counter = row_counts.counter(job.recipe.data)
        rows: list[int] = []
        for file in job.recipe.raw.all:
            state = job.files.file("count", file)
            if counter is not None:
                counter.absorb(state, sum(rows))
            rows.append(int(state["rows"]))
        known = {"rows": np.array(rows), **({} if counter is None else counter.known())}
        job.files.put_all("count", known)
    return known


def _assign(job: Job) -> tuple[Assign, np.ndarray]:
    """And the index of each file's first row over all files, int (F,); 0 where the split does not ask for it."""
    data = job.recipe.data
    if not row_counts.are_needed(data):
        return row_counts.assign(data, {}), np.zeros(len(job.recipe.raw.all), np.int64)
    known = _known(job)
    return row_counts.assign(data, known), np.cumsum(known["rows"]) - known["rows"]


def _fit(job: Job):
    assign, firsts_F = _assign(job)
    for file, blocks in job.by_file(job.recipe.wants, "fitting", job.undone()):
        features, tally = Features(job.recipe.data), job.recipe.new_tally()
        features.begin_file(file.index)
        for block in blocks:
            codes = assign(file.split, int(firsts_F[file.index]) + block.first_row, block)
            job.recipe.observe(block, codes, features, tally)
        job.keep(file, {**features.state(), **tally.state()})
    job.say_next("merge")


def _merge(job: Job):
    if job.files.prepared.exists():
        job.say("done before; next: encode")
        return
    job.check_done("fit")
    recipe, tally, rows = job.recipe, job.recipe.new_tally(), []
    for state in ahead(job.files.file("fit", file) for file in recipe.raw.all):
        own = {name: state.pop(name) for name in tally.state()}
        rows.append(own["rows"])
        tally.absorb(own)
        recipe.features.absorb(state)
    recipe.check_splits(tally)
    job.files.put_all("fit", {**tally.state(), "rows": np.array(rows)})
    with job.files.whole_folder(job.files.prepared) as folder:
        schema = recipe.features.finish(folder)
        (folder / manifest.SCHEMA).write_text(schema.to_json(), encoding="utf-8")
    job.say(f"{len(rows)} files are put together; next: encode")


def _encode(job: Job):
    if not job.files.prepared.exists():
        job.check_done("fit")
        raise InputError("prepare.stage=encode needs the vocabularies of all files. Run prepare.stage=merge first.")
    found = job.files.all("fit")
    assert found is not None
    shards = stage_shards.Shards(found["rows"])
    own = shards.of_part(job.config.part, job.config.parts)
    undone = [shard for shard in own if shard.name not in job.files.shards()]
    job.say_share(len(own), len(shards.all), "shards", len(undone))
    if undone:
        job.recipe.features.restore(Schema.read(job.files.prepared / manifest.SCHEMA), job.files.prepared)
        stage_shards.write(job, shards, undone, *_assign(job))
    num_left = len({shard.name for shard in shards.all} - job.files.shards())
    job.say(f"{len(shards.all) - num_left} of {len(shards.all)} shards are done")
    if num_left == 0:
        tally = job.recipe.new_tally()
        tally.absorb({"rows": shards.ends_F3[-1], "positives": found["positives"]})
        _finish(job, tally)


def _finish(job: Job, tally: Tally):
    recipe, prepared = job.recipe, job.files.prepared
    recipe.check_unchanged()
    with locked(lock_path(recipe.folder), lambda: job.say("waiting: another process makes the dataset")):
        if not recipe.folder.exists():
            text = recipe.manifest(prepared, tally)
            job.files.put(prepared / manifest.MANIFEST, lambda file: file.write(text.encode()))
            prepared.rename(recipe.folder)
