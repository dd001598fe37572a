"""The command line as a user meets it: messages, exit codes, and nothing left behind."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["model=dcm"], "model=dcm: there is no configs/model/dcm.yaml. Did you mean 'dcn'?"),
        (["data=critoe"], "data=critoe: there is no configs/data/critoe.yaml. Did you mean 'criteo'?"),
        (
            ["experiment=tiny/dcm"],
            "experiment=tiny/dcm: there is no configs/experiment/tiny/dcm.yaml. Did you mean 'dcn'?",
        ),
        (["trainer.batchsize=3"], "trainer.batchsize: no such key. Did you mean 'batch_size'?"),
        (["model=dcn", "model.num_cros=2"], "model.num_cros: no such key. Did you mean 'num_crosses'?"),
        (["+model.num_cros=2"], "model.num_cros: no such key. Did you mean 'num_crosses'?"),
        (["+trainer.foo=2"], "trainer.foo: no such key."),
        (["trainer.batch_size=many"], "trainer.batch_size='many': expected an integer."),
        (["trainer.batch_size=0"], "trainer.batch_size=0: expected int in [1, 2147483647]."),
        (["model.embedding_dim=wide"], "model.embedding_dim='wide': expected an integer."),
        (["~model.dropout"], "model.dropout: missing; dcn expects a number."),
        (["optimizer=wide_ftrl", "optimizer.wide.alpha=x"], "optimizer.wide.alpha='x': expected a number."),
        (["optimizer.name=lazy_adma"], "optimizer.name=lazy_adma: there is no rectrain/optimizers/lazy_adma.py."),
        (["data.format.reader=cvs"], "data.format.reader=cvs: there is no rectrain/data/readers/cvs.py."),
        (["data.split.train=0.9"], "data.split: train + valid + test must be 1; received 0.9 + 0.1 + 0.1 = 1.1."),
        (["data.files=a=b"], "Quote it twice, for the shell and for the grammar: \"data.files='a=b'\""),
        (["data.files=a,b"], "data.files=a,b: a comma makes a sweep."),
        (["model=dcn", "dcn"], "'dcn': expected key=value."),
        (["trian", "model=dcn"], "'trian': expected a command or key=value. Did you mean 'train'?"),
        (["data.files=nowhere.tsv"], "data.files"),
        (["prepare", "data.files=nowhere.tsv"], "data.files"),
        (["--config-dir", "nowhere"], "nowhere"),
    ],
)
def test_a_wrong_command_line_is_one_message_and_exit_2(rectrain, tmp_path, argv, message):
    code, out, err = rectrain(*argv)
    assert code == 2, out + err
    assert message in err
    assert "Traceback" not in out + err
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
    assert not (tmp_path / "outputs").exists() or not list((tmp_path / "outputs").iterdir())


def test_the_exit_code_of_a_sweep_is_that_of_the_first_job_that_failed(rectrain, tmp_path):
    code, out, err = rectrain("prepare", "-m", "data.sample.rows=2000,many,3000")
    assert code == 2
    assert "data.sample.rows='many': expected an integer" in err
    assert len(list((tmp_path / "data/prepared").glob("criteo-*"))) == 2
    assert "leaderboard" not in out + err


def test_help_names_commands_groups_and_examples(rectrain):
    code, out, _ = rectrain("--help")
    assert code == 0
    for word in ("prepare", "model: autoint, dcn", "rectrain model=dcn data=criteo", "--config-dir"):
        assert word in out


def test_cfg_job_prints_the_config_without_running(rectrain, tmp_path):
    code, out, _ = rectrain("--cfg", "job", "model=fm")
    assert code == 0
    assert "name: fm" in out
    assert not list(tmp_path.iterdir())


def test_flags_may_stand_between_overrides(rectrain, tmp_path):
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/mine.yaml").write_text("name: fm\nembedding_dim: 3\nembedding_stddev: 0.1\n")
    code, out, _ = rectrain("data=criteo", "--config-dir", "conf", "--cfg", "job", "model=mine", "~trainer.monitor")
    assert code == 0
    assert "embedding_dim: 3" in out
    assert "monitor" not in out


def test_help_and_errors_do_not_load_tensorflow():
    code = (
        "import sys; from rectrain import cli; sys.argv = ['rectrain', 'trainer.batch_size=x']\n"
        "try: cli.main()\n"
        "except SystemExit as stop: sys.exit(10 * ('tensorflow' in sys.modules) + stop.code)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 2


def test_a_folder_that_cannot_be_made_names_the_key(rectrain):
    code, _, err = rectrain("hydra.run.dir=/dev/null/here")
    assert code == 2
    assert "hydra.run.dir=DIR" in err
