"""The tf.distribute strategy of a run, and what it runs on."""

import os

import tensorflow as tf

from rectrain.config import StrategyConfig


def create(config: StrategyConfig) -> tf.distribute.Strategy:
    """`one`: everything on the first GPU, else on the CPU."""
    assert config.name == "one"
    return tf.distribute.OneDeviceStrategy("/gpu:0" if tf.config.list_physical_devices("GPU") else "/cpu:0")


def describe_device() -> str:
    """The device in words: "1 GPU (NVIDIA H100)" or "CPU, 2 cores"."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "unknown type")
        return f"1 GPU ({name})"
    return f"CPU, {len(os.sched_getaffinity(0))} cores"
