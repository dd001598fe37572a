"""A process that dies at a chosen moment, played within this one: from then on nothing that it does has an effect."""

import os
import shutil
from pathlib import Path

import numpy as np
import tensorflow as tf

from rectrain.evaluation import evaluate
from rectrain.online.deep import ModelLearner
from rectrain.online.linear import LinearLearner
from rectrain.online.loop import Loop
from rectrain.training import trainer
from rectrain.training.steps import Steps

# Before and after each of these a process may die: steps, files (checkpoints, reports, lines), evaluations.
PLACES = [
    (Steps, "train"),
    (tf.train.Checkpoint, "write"),
    *((Path, name) for name in ("mkdir", "write_text", "rename", "replace", "unlink")),
    (os, "fsync"),
    (shutil, "rmtree"),
    (trainer, "score_rows"),
    (trainer, "split_metrics"),
    (evaluate, "split_metrics"),
]


# The same of rectrain online.
ONLINE_PLACES = [
    (Loop, "_learn"),
    (LinearLearner, "save"),
    (ModelLearner, "save"),
    (np, "savez"),
    *((Path, name) for name in ("mkdir", "write_text", "rename", "replace", "unlink")),
    (os, "fsync"),
    (shutil, "rmtree"),
]


class Killed(BaseException):
    pass


class Life:
    """Moments that pass, by name, until it dies.

    Args:
        dies_at: number of the moment that is the last, or its name; None: it lives.
    """

    def __init__(self, monkeypatch, dies_at: int | str | None = None, places: list = PLACES):
        self.moments: list[str] = []
        self._dies_at, self._dead = dies_at, False
        for owner, name in places:
            monkeypatch.setattr(owner, name, self._mortal(getattr(owner, name), name))

    def _mortal(self, do, name):
        def mortal(*args, **kwargs):
            what = f"{name} {args[1].name}" if name in ("rename", "replace") else name
            self._pass(f"before {what}")
            done = do(*args, **kwargs)
            self._pass(f"after {what}")
            return done

        return mortal

    def _pass(self, name: str):
        if not self._dead:
            self.moments.append(name)
            self._dead = self._dies_at in (name, len(self.moments))
        if self._dead:
            raise Killed
