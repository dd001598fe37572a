"""rectrain bench: what a training step costs."""

import json
from pathlib import Path

from rectrain.console import import_tensorflow, say
from rectrain.errors import InputError
from rectrain.run_dir import write_whole
from rectrain.sections import bench_config


def run(raw: dict):
    """Measures the steps of a composed config, prints them and writes `output` where it is named.

    Raises:
        InputError: the config is wrong, or the folder of `output` is not there.
    """
    config = bench_config(raw)
    output = None if config.output is None else Path(config.output)
    if output is not None and not output.parent.is_dir():
        raise InputError(f"output={output}: there is no folder {output.parent}. Make it, or name another output.")
    import_tensorflow()
    from rectrain.outputs.run_report import machine
    from rectrain.training.bench import measure

    found = {"config": raw, **measure(config), **machine()}
    say(
        f"{config.model.name}, {config.optimizer.name}, {config.bench.vocabulary:,} rows in tables, batch "
        f"{config.bench.batch_size:,}, {config.bench.precision}, {found['device']}\n"
        f"step {found['step_ms']:.1f} ms (90 %: {found['step_ms_90']:.1f}), {found['rows_per_s']:,.0f} rows/s, "
        f"{found['parameters']:,} parameters, {found['distinct_rows']:,} of {found['looked_up_rows']:,} ids distinct, "
        f"peak memory {found['peak_rss_bytes'] / 2**20:,.0f} MiB"
    )
    if output is not None:
        write_whole(output, json.dumps(found, indent=1))
