"""What TensorBoard and MLflow are told of runs."""

import sys

import pytest

from rectrain.outputs import hparams

SMALL = ("model=lr", "data.sample.rows=2000", "trainer.batch_size=128", "trainer.epochs=2")


def test_tensorboard_reads_what_sets_the_runs_of_a_sweep_apart(rectrain, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    code, _, err = rectrain("-m", *SMALL, "optimizer.learning_rate=0.01,0.03", f"hydra.sweep.dir={tmp_path / 's'}")
    assert code == 0, err
    for number, rate in enumerate([0.01, 0.03]):
        events = EventAccumulator(str(tmp_path / f"s/{number}/tensorboard"))
        events.Reload()
        told = events.PluginTagToContent("hparams")
        start = metadata.parse_session_start_info_plugin_data(told[hparams.START])
        assert {key: value.number_value for key, value in start.hparams.items()} == {"optimizer.learning_rate": rate}
        assert metadata.parse_session_end_info_plugin_data(told[hparams.END]).status == 1
        assert "valid/click/auc" in events.Tags()["tensors"]


def test_values_of_each_type_and_long_texts_are_read_back():
    pytest.importorskip("tensorboard")
    from tensorboard.plugins.hparams import metadata

    values = {"a": True, "b": 3, "c": 0.25, "d": "x" * 300, "e": [1, 2], "f": None}
    start = metadata.parse_session_start_info_plugin_data(hparams.session_start(values, "g" * 200))
    read = {key: getattr(value, value.WhichOneof("kind")) for key, value in start.hparams.items()}
    assert read == {"a": True, "b": 3.0, "c": 0.25, "d": "x" * 300, "e": "[1, 2]", "f": "None"}
    assert start.group_name == "g" * 200


def mlflow_run(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'm.db'}")
    experiment = client.get_experiment_by_name("mine").experiment_id
    (run,) = client.search_runs([experiment])
    return client, run


def test_a_run_in_mlflow_and_gone_on_with_in_the_same_one(tiny_run, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    words = ["tracker=mlflow", f"tracker.uri=sqlite:///{tmp_path / 'm.db'}", "tracker.experiment=mine", "model=lr"]
    words += ["trainer.epochs=3", "resume=true"]

    def breaks(*_):
        raise RuntimeError("no report today")

    with monkeypatch.context() as patch:
        patch.setattr("rectrain.outputs.run_report.weights_sha256", breaks)
        assert tiny_run("run", *words)[0] == 1
    code, err, report = tiny_run("run", *words)
    assert code == 0, err
    client, run = mlflow_run(tmp_path)
    assert run.info.status == "FINISHED"
    assert run.data.params["model.name"] == "lr"
    assert not any(key.startswith("tracker") for key in run.data.params)
    history = client.get_metric_history(run.info.run_id, "valid/click/auc")
    expected = [(entry["step"], entry["valid"]["click"]["auc"]) for entry in report["history"]]
    assert [(metric.step, metric.value) for metric in history] == expected
    assert run.data.metrics["final/test/click/auc"] == report["metrics"]["test"]["click"]["auc"]["value"]
    assert {f.path for f in client.list_artifacts(run.info.run_id)} == {"report.json", "report.html", "config.yaml"}


def test_a_server_that_is_down_is_told_once_and_the_run_ends_well(rectrain, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    code, out, err = rectrain(*SMALL, "tracker=mlflow", f"hydra.run.dir={tmp_path / 'run'}")
    assert code == 0, err
    assert out.count("MLflow does not answer") == 1
    written = [path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert not any(b"hunter2" in text for text in (*written, out.encode(), err.encode()))


@pytest.mark.parametrize("words", [(), ("-m",)])
def test_a_password_in_the_config_is_refused(rectrain, tmp_path, words):
    uri = "tracker.uri=http://me:hunter2@host"
    folders = (f"hydra.run.dir={tmp_path / 'r'}", f"hydra.sweep.dir={tmp_path / 's'}")
    code, out, err = rectrain(*words, "tracker=mlflow", uri, *folders)
    assert code == 2
    assert "MLFLOW_TRACKING_PASSWORD" in err
    assert "hunter2" not in out + err
    assert not list(tmp_path.iterdir())


def test_without_mlflow_the_message_says_what_to_install_before_data_are_prepared(rectrain, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    code, _, err = rectrain(*SMALL, "tracker=mlflow")
    assert code == 2
    assert "pip install 'rectrain[mlflow]'" in err
    assert not list(tmp_path.iterdir())
