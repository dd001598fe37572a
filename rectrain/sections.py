"""The composed config as typed sections, each checked against what reads it."""

import dataclasses

from rectrain.config import (
    BenchConfig,
    ClusterConfig,
    CompareConfig,
    DataConfig,
    EvaluateConfig,
    ExportConfig,
    InitConfig,
    ListConfig,
    OnlineConfig,
    OptimizerConfig,
    PredictConfig,
    PrepareConfig,
    SearchConfig,
    StageConfig,
    TrainConfig,
    check_keys,
    parse,
)
from rectrain.errors import InputError
from rectrain.registry import check_name, check_settings

_WIDE_AND_DEEP = "wide_ftrl"


def train_config(raw: dict) -> TrainConfig:
    """`raw`, as Hydra composed it, with the knobs of model, optimizer and reader checked by name and type.

    Raises:
        InputError: names the key that does not fit.
    """
    config = parse(TrainConfig, _with_settings(_without_null_features(raw)), "")
    _check_reader(config.data)
    _refuse_skipping(config.data)
    if config.strategy.name == "parameter_server":
        _refuse_whole_tables(config.optimizer)
    if config.task.on_inconsistent == "drop":
        config = dataclasses.replace(config, data=_without_inconsistent(config))
    return config


def _refuse_whole_tables(optimizer: OptimizerConfig):
    """Servers get the rows that a batch used, and make no pass over a table for each step of each worker."""
    parts = {"optimizer": optimizer.name} | {
        f"optimizer.{group}": part["name"] for group, part in optimizer.settings.items() if isinstance(part, dict)
    }
    for key, name in parts.items():
        if name == "adam":
            raise InputError(
                f"{key}=adam moves every row of a table at every step, and strategy=parameter_server sends the rows of "
                f"a batch alone. Set {key}=lazy_adam."
            )
    if optimizer.regularize != "batch":
        raise InputError(
            f"optimizer.regularize={optimizer.regularize} needs more of a table than the rows of a batch, which are "
            "all that strategy=parameter_server sends. Set optimizer.regularize=batch."
        )


def online_config(raw: dict) -> OnlineConfig:
    """The same for `rectrain online`."""
    config = parse(OnlineConfig, _with_settings(_without_null_features(raw)), "")
    _check_reader(config.data)
    if config.online.source == "prepared":
        _refuse_skipping(config.data)
    if config.strategy.name != "one":
        raise InputError(f"strategy={config.strategy.name}: rectrain online learns on one device. Set strategy=one.")
    if config.optimizer.regularize == "frequency":
        raise InputError(
            "optimizer.regularize=frequency needs the counts of a whole training split, which a stream has not. Set "
            "optimizer.regularize=batch."
        )
    if config.task.on_inconsistent == "drop":
        config = dataclasses.replace(config, data=_without_inconsistent(config))
    return config


def _refuse_skipping(data: DataConfig):
    if data.max_bad_rows:
        raise InputError(
            f"data.max_bad_rows={data.max_bad_rows}: only rectrain online skips rows, while it reads raw files. Set "
            "data.max_bad_rows=0 and mend the files."
        )


def _without_inconsistent(config: TrainConfig | OnlineConfig) -> DataConfig:
    """The data without the rows whose label contradicts the one that a task is given."""
    tasks = config.task.tasks or {}
    pairs = [[task.given, task.label or name] for name, task in tasks.items() if task.given is not None]
    return dataclasses.replace(config.data, drop_inconsistent=[*config.data.drop_inconsistent, *pairs])


def bench_config(raw: dict) -> BenchConfig:
    """The same for `rectrain bench`."""
    config = parse(BenchConfig, _with_settings(raw), "")
    if config.strategy.name in ("multi_worker", "parameter_server"):
        raise InputError(
            f"strategy={config.strategy.name}: rectrain bench measures one process. Set strategy=one or mirrored."
        )
    if config.optimizer.regularize == "frequency":
        raise InputError(
            "optimizer.regularize=frequency needs the counts of a data set's values, which rectrain bench has not. Set "
            "optimizer.regularize=batch, which costs the same but for one division."
        )
    return config


def prepare_config(raw: dict) -> PrepareConfig:
    """The same for `rectrain prepare`."""
    config = parse(PrepareConfig, _without_null_features(raw), "")
    _check_reader(config.data)
    _refuse_skipping(config.data)
    _check_stage(config.prepare)
    return config


def search_config(raw) -> SearchConfig:
    """The same of the section `sweep`, which configs/sweep/<name>.yaml fills."""
    return parse(SearchConfig, raw, "sweep")


def _check_stage(stage: StageConfig):
    if stage.part > stage.parts:
        raise InputError(f"prepare.part={stage.part}: expected 1 to prepare.parts={stage.parts}.")
    if stage.stage is None and stage.parts > 1:
        raise InputError(
            f"prepare.parts={stage.parts} has no effect without a stage. Name one with prepare.stage, or set "
            "prepare.parts=1 to prepare all at once."
        )
    if stage.stage == "merge" and stage.part > 1:
        raise InputError(f"prepare.part={stage.part}: prepare.stage=merge is one process. Set prepare.part=1.")


def init_config(raw: dict) -> InitConfig:
    """The same for `rectrain init`."""
    if raw["data"].get("files") is None:
        raise InputError("data=null: expected a raw file, as in rectrain init data=clicks.csv.")
    return parse(InitConfig, raw, "")


def list_config(raw: dict) -> ListConfig:
    """The same for `rectrain models` and `rectrain datasets`."""
    return parse(ListConfig, raw, "")


def evaluate_config(raw: dict) -> EvaluateConfig:
    """The same for `rectrain evaluate`."""
    if raw.get("run") is None:
        raise InputError(
            "run=null: expected the folder of a run, as in rectrain evaluate run=outputs/DATE/TIME_dcn_criteo."
        )
    config = parse(EvaluateConfig, raw, "")
    if config.strategy.name == "parameter_server":
        raise InputError(
            "strategy=parameter_server is for training; rectrain evaluate reads the checkpoints of any strategy. "
            "Set strategy=auto."
        )
    if config.strategy.name == "multi_worker":
        _refuse_what_needs_all_rows(config)
    return config


def _refuse_what_needs_all_rows(config: EvaluateConfig):
    wanted = {
        "input": config.input,
        "explain": config.explain,
        "evaluate.by": config.evaluate.by,
        "evaluate.importance": config.evaluate.importance,
    }
    for key, value in wanted.items():
        if value:
            raise InputError(
                f"{key}={value}: with strategy=multi_worker each process scores a part of a split, for its metrics "
                f"alone. Leave {key} out, or set strategy=auto."
            )


def predict_config(raw: dict) -> PredictConfig:
    """The same for `rectrain predict`."""
    expected = {"run": "the folder of a run", "input": "raw files", "output": "a file of .parquet, .csv or .tsv"}
    for key, what in expected.items():
        if raw.get(key) is None:
            raise InputError(
                f"{key}=null: expected {what}, as in rectrain predict run=outputs/DATE/TIME_dcn_criteo "
                "input='new/*.tsv' output=scores.parquet."
            )
    config = parse(PredictConfig, raw, "")
    if config.strategy.name == "parameter_server":
        raise InputError(
            "strategy=parameter_server is for training; rectrain predict reads the checkpoints of such a run with "
            "strategy=one, mirrored or multi_worker."
        )
    return config


def export_config(raw: dict) -> ExportConfig:
    """The same for `rectrain export`."""
    if raw.get("run") is None:
        raise InputError("run=null: expected the folder of an online run, as in rectrain export run=outputs/stream.")
    return parse(ExportConfig, raw, "")


def compare_config(raw: dict) -> CompareConfig:
    """The same for `rectrain compare`."""
    if raw.get("runs") is None:
        raise InputError(
            "runs=null: expected folders of runs or sweeps, as in rectrain compare runs=[outputs/DATE/TIME_sweep]."
        )
    return parse(CompareConfig, raw, "")


def cluster_config(raw: dict) -> ClusterConfig:
    """The same for `rectrain cluster`."""
    return parse(ClusterConfig, raw, "")


def _check_reader(data: DataConfig):
    check_name("data/readers", data.format.reader, "data.format.reader", "read")


def _without_null_features(raw: dict) -> dict:
    """`raw` without the groups of features that are null: so a recipe takes a group of its data set away."""
    data = raw.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("features"), dict):
        return raw
    features = {name: group for name, group in data["features"].items() if group is not None}
    return {**raw, "data": {**data, "features": features}}


def _with_settings(raw: dict) -> dict:
    """`raw` with the settings of model and optimizer checked and put where their dataclasses have them."""
    return {**raw, "model": _model(raw.get("model")), "optimizer": _optimizer(raw.get("optimizer"))}


def _model(raw) -> dict:
    name, settings = _named(raw, "model")
    return {"name": name, "settings": check_settings("models", name, settings, "model")}


def _optimizer(raw) -> dict:
    name, rest = _named(raw, "optimizer")
    shared = [f.name for f in dataclasses.fields(OptimizerConfig) if f.name not in ("name", "settings")]
    own = {key: value for key, value in rest.items() if key not in shared}
    settings = _two_groups(own) if name == _WIDE_AND_DEEP else check_settings("optimizers", name, own, "optimizer")
    common = {key: rest[key] for key in shared if key in rest}
    return {"name": name, "settings": settings, **common}


def _two_groups(own: dict) -> dict:
    """optimizer.wide and optimizer.deep, each an optimizer of its own."""
    check_keys(own, ("wide", "deep"), "optimizer")
    groups = {}
    for group in ("wide", "deep"):
        name, settings = _named(own.get(group), f"optimizer.{group}")
        groups[group] = {"name": name, **check_settings("optimizers", name, settings, f"optimizer.{group}")}
    return groups


def _named(raw, key: str) -> tuple[str, dict]:
    if not isinstance(raw, dict) or not isinstance(raw.get("name"), str):
        raise InputError(f"{key}={raw!r}: expected a section of keys with `name`; choose one with {key}=<name>.")
    return raw["name"], {k: v for k, v in raw.items() if k != "name"}
