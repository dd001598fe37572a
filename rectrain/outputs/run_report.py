"""A run in one dict: what report.json holds. Its keys are an interface; docs/design.md lists them."""

import hashlib
import importlib.metadata
import platform
import subprocess
from datetime import datetime

import keras
import numpy as np
import pyarrow as pa
import tensorflow as tf

from rectrain.data.manifest import Prepared
from rectrain.memory import peak_rss_bytes
from rectrain.optimizers.parts import pieces
from rectrain.schema import History
from rectrain.training.strategy import describe_device
from rectrain.training.trainer import Progression, Trainer


def run_report(command: str, config: dict, prepared: Prepared, trainer: Trainer, metrics: dict, curves: dict) -> dict:
    """The report of a run, whatever it has come to; the caller adds status and error."""
    done = trainer.done
    return {
        "command": command,
        "config": config,
        "seed": config["seed"],
        "model": config["model"]["name"],
        "started": datetime.fromisoformat(done.attempts[0]["started"]).isoformat(timespec="seconds"),
        "resumed": len(done.attempts) - 1,
        "seconds": _seconds(done),
        "versions": _versions(),
        "git": _git_commit(),
        "device": describe_device(trainer.steps.strategy),
        "replicas": trainer.steps.strategy.num_replicas_in_sync,
        "data": _data(prepared),
        "metrics": metrics,
        "history": done.evaluations,
        "losses": done.losses,
        "best": _best(done, trainer),
        "stopped_because": done.stopped_because,
        "curves": curves,
        "parameters": count_parameters(trainer.steps.model),
        "throughput": {
            "train_rows_per_s": _rate(trainer.rows_before(done.step), done.train_seconds),
            "eval_rows_per_s": _rate(done.eval_rows, done.eval_seconds),
        },
        "memory": {"peak_rss_bytes": peak_rss_bytes()},
        "steps": done.step,
        "rows": {"repeated": done.rows_repeated},
        "weights_sha256": weights_sha256(trainer.steps.model) if trainer.weights_are_there else None,
    }


def count_parameters(model: keras.Model) -> dict[str, int]:
    """Trainable weights: all, those of tables (linear ones too), and the others."""
    sizes = {w.path: w.value.shape.num_elements() for w in model.trainable_variables}
    tables = sum(n for path, n in sizes.items() if path.endswith("/table"))
    return {"total": sum(sizes.values()), "embedding": tables, "dense": sum(sizes.values()) - tables}


def weights_sha256(model: keras.Model) -> str:
    """Hash over all weights in the order of their names: equal weights, equal hash."""
    digest = hashlib.sha256()
    for weight in sorted(model.weights, key=lambda w: w.path):
        digest.update(weight.path.encode())
        for rows in pieces(weight):
            digest.update(rows.tobytes())
    return digest.hexdigest()


def _data(prepared: Prepared) -> dict:
    schema, manifest = prepared.schema, prepared.manifest
    return {
        "name": schema.name,
        "source": manifest["source"],
        "rows": manifest["rows"],
        "positives": manifest["positives"],
        "manifest": str((prepared.folder / "manifest.json").resolve()),
        "sample": manifest["sample"],
        "features": [
            {"name": f.name, "kind": kind, "num_rows": getattr(f, "num_rows", None), "encoding": f.encoding["type"]}
            for kind in ("categorical", "numeric", "multi_valued", "crosses")
            for f in getattr(schema, kind)
        ]
        + [_history(history) for history in schema.histories],
    }


def _history(history: History) -> dict:
    steps = ", ".join(step.name for step in history.steps)
    kind = {"short": "newest", "long": "newest", "hits": "newest of the same category"}[history.role]
    words = f"at most {history.max_length:,} {kind}: {steps}"
    return {"name": history.name, "kind": "history", "num_rows": None, "encoding": words}


def machine() -> dict:
    """What ran, and the most memory that this process has used."""
    return {"versions": _versions(), "peak_rss_bytes": peak_rss_bytes()}


def _versions() -> dict[str, str]:
    """TensorFlow's and others' as imported: the package may have another name, such as tensorflow-cpu."""
    imported = {module.__name__: module.__version__ for module in (tf, keras, np, pa)}
    rectrain = importlib.metadata.version("rectrain")
    return {"python": platform.python_version(), **imported, "rectrain": rectrain}


def _seconds(done: Progression) -> dict:
    """Over all processes that trained the run, as far as what they did was saved."""
    done.note_time()
    return {
        "prepare": sum(attempt["prepare_seconds"] for attempt in done.attempts),
        "train": done.train_seconds,
        "evaluate": done.eval_seconds,
        "total": sum(attempt["seconds"] for attempt in done.attempts),
    }


def _best(done: Progression, trainer: Trainer) -> dict | None:
    if trainer.monitor is None or done.best_step is None:
        return None
    return {"step": done.best_step, "metric": trainer.monitor.name, "value": trainer.monitor.best}


def _rate(rows: int, seconds: float) -> float | None:
    return rows / seconds if seconds else None


def _git_commit() -> str | None:
    """The commit of the current directory, for those who keep their configs in git."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None
