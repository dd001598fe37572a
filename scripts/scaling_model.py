"""How long a step takes, what a process sends and what it holds: the model of docs/scaling.md, in numbers.

    python scripts/scaling_model.py [--rows 1e9] [--train-rows 1e12] [--batch 65536] [--network 1.25e9] [...]

Its constants are those of DeepFM in the shape of `rectrain bench`, measured on one core of an AMD EPYC. Of your own
model `rectrain bench` tells base and per_row: intercept and slope of `step_ms` at two values of bench.batch_size.
"""

import argparse
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Constants:
    """Times in seconds, sizes in bytes, rates in bytes a second."""

    base: float = 6e-3  # of a step, whatever its rows
    per_row: float = 35e-6  # of a step
    exchange: float = 11.6e-3  # of a sum over workers, whatever it holds
    merged: float = 0.35e-6  # for each table row that any worker looked up: every worker moves it
    serve: float = 4.2e-3  # CPU of all servers together for a step of a worker
    served: float = 1.4e-6  # the same for each table row that the worker looked up
    network: float = 1.25e9  # of one process
    memory: float = 48e9  # of one process, for tables
    dense: float = 571_423  # weights
    width: float = 17  # numbers of a table's row
    distinct: float = 10.0  # table rows that a training row looks up and no other of its worker's batch
    slots: float = 2.0  # of the optimizer, in numbers a weight
    rows: float = 1e9  # of all tables


@dataclass(frozen=True)
class Cost:
    seconds: float  # of a step: of all workers together, or of one worker of parameter servers
    sent: float  # bytes that a process sends in it
    rows_per_s: float  # of all workers
    held: float  # bytes of tables and slots in the process that holds most


def multi_worker(c: Constants, batch: float, workers: int) -> Cost:
    """Args: batch: rows of all workers together. With one worker it is strategy=one."""
    others, looked_up = workers - 1, c.distinct * batch
    sent = 8 * others / workers * c.dense + 4 * others / workers * (c.width + 2) * looked_up
    together = c.exchange + c.merged * looked_up + sent / c.network if others else 0.0
    seconds = c.base + c.per_row * batch / workers + together
    return Cost(seconds, sent, batch / seconds, tables(c))


def parameter_server(c: Constants, batch: float, workers: int, servers: int) -> Cost:
    """Args: batch: rows of each worker. servers: of one core each."""
    sent = 4 * (c.dense + c.width * c.distinct * batch)  # and as many bytes come in
    of_servers = c.serve + c.served * c.distinct * batch
    seconds = max(c.base + c.per_row * batch + 2 * sent / c.network, workers * of_servers / servers)
    return Cost(seconds, sent, workers * batch / seconds, tables(c) / servers)


def tables(c: Constants) -> float:
    return 4 * c.rows * c.width * (1 + c.slots)


def servers_for(c: Constants, batch: float, workers: int) -> int:
    """As many as hold the tables and keep up with the workers."""
    alone = parameter_server(c, batch, 1, 10**9).seconds
    keep_up = workers * (c.serve + c.served * c.distinct * batch) / alone
    return max(math.ceil(tables(c) / c.memory), math.ceil(keep_up))


def table(c: Constants, batch: int, numbers: list[int], train_rows: float) -> list[str]:
    lines = ["| strategy | workers | servers | ms a step | MB sent | rows/s | GB held | days |", "|---" * 8 + "|"]
    for workers in numbers:
        lines.append(line("multi_worker", workers, "–", multi_worker(c, batch, workers), train_rows))
    for workers in numbers:
        share = batch // max(numbers)
        servers = servers_for(c, share, workers)
        cost = parameter_server(c, share, workers, servers)
        lines.append(line("parameter_server", workers, str(servers), cost, train_rows))
    return lines


def line(strategy: str, workers: int, servers: str, cost: Cost, train_rows: float) -> str:
    days = train_rows / cost.rows_per_s / 86_400
    return (
        f"| {strategy} | {workers} | {servers} | {1e3 * cost.seconds:,.0f} | {cost.sent / 1e6:,.1f} | "
        f"{cost.rows_per_s:,.0f} | {cost.held / 1e9:,.1f} | {days:,.0f} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, field in Constants.__dataclass_fields__.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=field.default)
    parser.add_argument("--train-rows", type=float, default=1e12)
    parser.add_argument("--batch", type=int, default=65_536, help="rows of all workers together")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16, 64])
    options = vars(parser.parse_args())
    constants = Constants(**{name: options[name] for name in Constants.__dataclass_fields__})
    print("\n".join(table(constants, options["batch"], options["workers"], options["train_rows"])))


if __name__ == "__main__":
    main()
