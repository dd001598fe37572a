"""How often each table row's value occurs, and L2 that divides by it, through a whole run."""

import numpy as np
import pytest

from rectrain.data.occurrences import row_occurrences
from rectrain.data.prepare import prepare
from tests.samples import data_config


def test_counts_of_vocabularies_and_means_of_the_rest(tmp_path):
    lines = [f"{i % 2}\t{i % 3}\t" + "\t".join([f"v{i % 5}"] * 38) for i in range(60)]
    (tmp_path / "rows.tsv").write_text("".join(f"{line}\n" for line in lines))
    data = data_config(
        f"files={tmp_path}/rows.tsv",
        f"prepared_dir={tmp_path}/prepared",
        "cross_buckets=6",
        features={
            "numbers": {"type": "numeric", "columns": ["I1"], "transform": "log_square"},
            "categories": {"type": "categorical", "columns": ["C1"], "min_count": 1},
            "hashed": {"type": "categorical", "columns": ["C2"], "hash_buckets": 4},
        },
        crosses=[["C1", "C2"]],
    )
    prepared = prepare(data, say=lambda _: None)
    counts = row_occurrences(prepared)
    rows = prepared.rows("train")
    of = {
        f.name: counts[f.offset : f.offset + f.num_rows]
        for f in (*prepared.schema.categorical, *prepared.schema.crosses)
    }
    assert of["C1"][2:].sum() == of["I1"][2:].sum() == rows
    np.testing.assert_allclose(of["C1"][:2], rows / 7)
    np.testing.assert_allclose(of["C2"], rows / 5)
    np.testing.assert_allclose(of["C1_x_C2"], rows / 7, rtol=1e-6)
    assert (counts > 0).all()


@pytest.mark.parametrize("model", ["lr", "wide_deep", "deepfm"])
def test_a_run_can_regularize_by_frequency(tiny_run, model):
    plain, frequency, batch = (
        tiny_run(name, f"model={model}", "trainer.max_steps=3", *overrides)[2]["weights_sha256"]
        for name, overrides in {
            "plain": (),
            "frequency": ("optimizer.regularize=frequency", "optimizer.l2_embedding=0.1"),
            "batch": ("optimizer.l2_embedding=0.1",),
        }.items()
    )
    assert len({plain, frequency, batch}) == 3


def test_a_bench_has_no_counts(rectrain):
    code, _, err = rectrain("bench", "optimizer.regularize=frequency")
    assert code == 2
    assert "optimizer.regularize=frequency needs the counts" in err
