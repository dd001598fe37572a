"""How long a step takes, what a process holds and what it sends: the model of docs/scaling.md, in numbers.

    python scripts/scaling_model.py [--rows 1e9] [--train-rows 1e12] [--batch 65536] [--network 1.25e9] [...]

Its constants are those of DeepFM in the shape of `rectrain bench`, measured on one core of an AMD EPYC; measure your
own with `rectrain bench model=... bench.batch_size=...` at two sizes: base and per_row are intercept and slope.
"""

import argparse
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """One worker, and what it works on. Times in seconds, sizes in bytes, rates in bytes a second."""

    base: float  # of a step, whatever its rows
    per_row: float  # of a step
    exchange: float  # of a sum over replicas, beside what it sends
    served: float  # CPU of a server for one row of a table looked up and moved
    network: float  # of one process
    dense: int  # weights
    width: int  # numbers of a row of the table
    distinct: float  # rows that a training row looks up and no other of its batch
    slots: float  # of the optimizer, in widths of a row
    rows: float  # of all tables


def step_seconds(strategy: str, m: Machine, batch: int, replicas: int) -> float:
    """Of a whole batch under `mirrored` and `multi_worker`; of one worker's batch under `parameter_server`."""
    if strategy == "parameter_server":
        return m.base + m.per_row * batch + sent(strategy, m, batch, replicas) / m.network
    shared = m.exchange + sent(strategy, m, batch, replicas) / m.network if replicas > 1 else 0.0
    return m.base + m.per_row * batch / replicas + shared


def sent(strategy: str, m: Machine, batch: int, replicas: int) -> float:
    """Bytes that a process sends a step."""
    if strategy == "parameter_server":
        return 4 * (m.dense + m.width * m.distinct * batch)  # and as many come in
    others = replicas - 1
    return 8 * others / replicas * m.dense + 4 * others * (m.width + 2) * m.distinct * batch / replicas


def rows_per_second(strategy: str, m: Machine, batch: int, replicas: int, servers: int) -> float:
    if strategy != "parameter_server":
        return batch / step_seconds(strategy, m, batch, replicas)
    of_workers = replicas * batch / step_seconds(strategy, m, batch, replicas)
    return min(of_workers, servers / (m.served * m.distinct))


def held(strategy: str, m: Machine, servers: int) -> float:
    """Bytes of tables and slots in the process that holds most."""
    table = 4 * m.rows * m.width * (1 + m.slots)
    return table / servers if strategy == "parameter_server" else table


def servers_for(strategy: str, m: Machine, batch: int, replicas: int, memory: float) -> int:
    """As many as hold the tables and keep up with the workers."""
    if strategy != "parameter_server":
        return 0
    keep_up = replicas * batch / step_seconds(strategy, m, batch, replicas) * m.served * m.distinct
    return max(math.ceil(held("multi_worker", m, 1) / memory), math.ceil(keep_up))


def main(options):
    fields = {name: getattr(options, name) for name in Machine.__dataclass_fields__}
    m = Machine(**fields)
    print("| strategy | workers | servers | ms a step | MB sent a step | rows/s | GB held | days |")
    print("|---|---|---|---|---|---|---|---|")
    for strategy in ("multi_worker", "parameter_server"):
        for replicas in options.replicas:
            batch = options.batch if strategy == "multi_worker" else options.batch // max(options.replicas)
            servers = servers_for(strategy, m, batch, replicas, options.memory)
            print(line(strategy, m, batch, replicas, servers, options.train_rows))


def line(strategy: str, m: Machine, batch: int, replicas: int, servers: int, train_rows: float) -> str:
    rate = rows_per_second(strategy, m, batch, replicas, servers)
    ms, megabytes = 1e3 * step_seconds(strategy, m, batch, replicas), sent(strategy, m, batch, replicas) / 1e6
    return (
        f"| {strategy} | {replicas} | {servers or '–'} | {ms:,.0f} | {megabytes:,.1f} | {rate:,.0f} | "
        f"{held(strategy, m, servers) / 1e9:,.1f} | {train_rows / rate / 86_400:,.0f} |"
    )


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = {
        "base": 4e-3, "per_row": 3.3e-5, "exchange": 5e-3, "served": 2e-6, "network": 1.25e9, "dense": 490_000,
        "width": 17, "distinct": 10.0, "slots": 2.0, "rows": 1e9, "train_rows": 1e12, "memory": 48e9,
    }  # fmt: skip
    for name, value in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    parser.add_argument("--batch", type=int, default=65_536, help="of all workers together")
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 4, 16, 64])
    return parser.parse_args()


if __name__ == "__main__":
    main(parsed())
