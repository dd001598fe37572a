"""What strategy=parameter_server sends a step, and who holds the tables: two workers and two servers on this machine.

    unshare -rn sh -c 'ip link set lo up && python scripts/bench_parameter_server.py [--rows 100000 10000000]'

In a network namespace of its own nobody else uses the loopback interface. For each number of table rows a run is made
twice, of few and of more steps: the difference of the bytes received, over that of the steps, is what a step sends;
starting, evaluations and checkpoints cost the same in both. Batches hold random values of hashed features, so the
number of different rows that one uses hardly depends on the size of the table. Memory is the highest of each process
(VmHWM), the reading of a checkpoint back included; table bytes are weights and optimizer slots. CPU is the time that
the processes of a job took together for a step, again the difference of the two runs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rectrain.cluster import free_addresses

FEATURES = ["a", "b", "c", "d"]
STEPS = (100, 300)
SLOTS = 2  # of lazy_adam
HEAD = (
    "rows in tables", "table, MiB", "kB a step", "CPU of servers, ms a step", "CPU of workers", "RSS of servers, MiB",
    "RSS of workers", "RSS of the chief", "train rows/s", "seconds",
)  # fmt: skip


def main(sizes: list[int], width: int, workers: int, servers: int, batch: int):
    print(f"| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder), 2 * STEPS[1] * batch)
        for rows in sizes:
            few, more = (run(Path(folder), rows, width, steps, workers, servers, batch) for steps in STEPS)
            print(line(rows, width, few, more), flush=True)


def write_data(folder: Path, num_rows: int):
    rng = np.random.default_rng(0)
    columns = np.column_stack([rng.integers(2, size=num_rows), rng.integers(2**40, size=(num_rows, len(FEATURES)))])
    np.savetxt(folder / "rows.csv", columns, fmt="%d", delimiter=",", header=",".join(["y", *FEATURES]), comments="")


def write_config(folder: Path, rows: int):
    (folder / "data").mkdir(exist_ok=True)
    text = f"""name: big{rows}
files: {folder}/rows.csv
prepared_dir: {folder}/prepared
format: {{reader: csv}}
labels: {{y: y}}
features:
  ids: {{type: categorical, columns: [{", ".join(FEATURES)}], hash_buckets: {rows // len(FEATURES)}}}
split: {{by: order, train: 0.98, valid: 0.01, test: 0.01}}
"""
    (folder / "data/big.yaml").write_text(text, encoding="utf-8")


def run(folder: Path, rows: int, width: int, steps: int, workers: int, servers: int, batch: int) -> dict:
    write_config(folder, rows)
    words = [
        "model=deepfm", "data=big", "--config-dir", str(folder), "strategy=parameter_server",
        f"trainer.max_steps={steps}",
        f"model.embedding_dim={width - 1}", "model.hidden_units=[64,32]", f"trainer.batch_size={batch}",
        f"hydra.run.dir={folder}/run-{rows}-{steps}", "trainer.report_splits=[valid]", "trainer.keep_checkpoints=1",
    ]  # fmt: skip
    subprocess.run([sys.executable, "-m", "rectrain", "prepare", "data=big", "--config-dir", str(folder)], check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    before, started = received(), time.monotonic()
    processes = start(words, workers, servers)
    memory: dict[str, int] = {}
    cpu: dict[str, float] = {}
    while processes["chief 0"].poll() is None:
        memory |= {name: max(memory.get(name, 0), peak(p.pid)) for name, p in processes.items()}
        cpu |= {name: max(cpu.get(name, 0), cpu_seconds(p.pid)) for name, p in processes.items()}
        time.sleep(0.05)
    codes = {name: p.wait(60) for name, p in processes.items()}
    assert not any(codes.values()), codes
    report = json.loads((folder / f"run-{rows}-{steps}/report.json").read_text(encoding="utf-8"))
    subprocess.run(["rm", "-r", f"{folder}/run-{rows}-{steps}"], check=True)
    seconds = time.monotonic() - started
    return {"bytes": received() - before, "memory": memory, "cpu": cpu, "report": report, "seconds": seconds}


def start(words: list[str], workers: int, servers: int) -> dict[str, subprocess.Popen]:
    left = iter(free_addresses(1 + workers + servers))
    sizes = {"chief": 1, "worker": workers, "ps": servers}
    cluster = {job: [next(left) for _ in range(number)] for job, number in sizes.items()}
    return {
        f"{job} {index}": subprocess.Popen(
            [sys.executable, "-m", "rectrain", *words],
            env={**os.environ, "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": job, "index": index}})},
            stdout=subprocess.DEVNULL,
        )
        for job, number in sizes.items()
        for index in range(number)
    }


def received() -> int:
    """Bytes through the loopback interface, each counted once."""
    lines = Path("/proc/net/dev").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.strip().startswith("lo:"))


def peak(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_of(job: str, few: dict, more: dict) -> float:
    """Milliseconds a step of all processes of a job together."""
    taken = [sum(seconds for name, seconds in run["cpu"].items() if name.startswith(job)) for run in (few, more)]
    return 1000 * (taken[1] - taken[0]) / (STEPS[1] - STEPS[0])


def line(rows: int, width: int, few: dict, more: dict) -> str:
    table = rows * width * 4 * (1 + SLOTS)
    per_step = (more["bytes"] - few["bytes"]) / (STEPS[1] - STEPS[0]) / 1000
    memory = more["memory"]
    servers, workers = (
        ", ".join(f"{memory[name] / 2**20:,.0f}" for name in memory if name.startswith(job)) for job in ("ps", "worker")
    )
    return (
        f"| {rows:,} | {table / 2**20:,.0f} | {per_step:.0f} | {cpu_of('ps', few, more):.1f} | "
        f"{cpu_of('worker', few, more):.1f} | {servers} | {workers} | "
        f"{memory['chief 0'] / 2**20:,.0f} | {more['report']['throughput']['train_rows_per_s']:,.0f} | "
        f"{more['seconds']:.0f} |"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 10_000_000])
    parser.add_argument("--width", type=int, default=16, help="numbers a row of the table")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--servers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=512)
    options = parser.parse_args()
    main(options.rows, options.width, options.workers, options.servers, options.batch)
