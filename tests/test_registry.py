"""Names are files; knobs are read from the source."""

import inspect

import pytest
import yaml

from rectrain import registry
from rectrain.errors import InputError
from tests.samples import CONFIGS


def test_names_are_the_files_that_define_build():
    crossing = ["autoint", "dcn", "dcn_v2", "deepfm", "fm", "lr", "wide_deep"]
    sequences = ["din", "din_self_attention", "pooled_dnn", "sim_hard", "sim_soft"]
    several_tasks = ["esmm", "mmoe", "ple", "shared_bottom"]
    assert registry.names("models") == sorted([*crossing, *sequences, *several_tasks])
    assert registry.names("optimizers") == ["adagrad", "adam", "ftrl", "lazy_adam", "rowwise_adagrad", "sgd"]
    assert registry.names("data/readers", "read") == ["ali_ccp", "amazon", "csv", "libfm", "movielens", "parquet"]


def test_types_read_from_the_source_are_those_of_the_function():
    for name in registry.names("models"):
        parameters = inspect.signature(registry.load("models", name)).parameters.values()
        knobs = {p.name: p.annotation for p in parameters if p.kind is p.KEYWORD_ONLY}
        assert registry.keyword_types("models", name) == knobs
        assert all(p.default is p.empty for p in parameters)


@pytest.mark.parametrize(("room", "group"), [("models", "model"), ("optimizers", "optimizer")])
def test_every_yaml_holds_exactly_the_knobs_of_its_file(room, group):
    for path in (CONFIGS / group).glob("*.yaml"):
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        name = settings.pop("name")
        assert name == path.stem
        if name != "wide_ftrl":
            assert registry.check_settings(room, name, settings, group).keys() == settings.keys()


DCN = {k: v for k, v in yaml.safe_load((CONFIGS / "model/dcn.yaml").read_text(encoding="utf-8")).items() if k != "name"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_cross": 3}, r"model\.num_cross: no such key\. Did you mean 'num_crosses'\?"),
        ({"num_crosses": "three"}, r"model\.num_crosses='three': expected an integer"),
        ({"hidden_units": [8, None]}, r"model\.hidden_units\[1\]=null: expected an integer"),
        ({}, r"model\.\w+: missing; dcn expects"),
    ],
)
def test_a_wrong_knob_is_refused_by_name(settings, message):
    with pytest.raises(InputError, match=message):
        registry.check_settings("models", "dcn", settings and DCN | settings, "model")


def test_a_file_that_is_not_there_is_refused_with_the_nearest():
    with pytest.raises(
        InputError, match=r"model\.name=deepmf: there is no rectrain/models/deepmf\.py\. Did you mean 'deepfm'"
    ):
        registry.check_settings("models", "deepmf", {}, "model")
