"""The tf.distribute strategy of a run, and what it runs on."""

import tensorflow as tf

from rectrain.config import StrategyConfig
from rectrain.data.threads import num_cores, num_threads
from rectrain.errors import InputError


def create(config: StrategyConfig) -> tf.distribute.Strategy:
    """`one`: everything on the first GPU, else on the CPU. `mirrored`: a copy of the model on each of several devices.

    `auto` is `mirrored` where there is more than one GPU, else `one`; `multi_worker`: a copy in each process that
    TF_CONFIG names. To be called before TensorFlow makes its devices.

    Raises:
        InputError: there are no such devices.
    """
    if config.name == "multi_worker":
        kind = tf.distribute.experimental.CommunicationImplementation[str(config.communication).upper()]
        options = tf.distribute.experimental.CommunicationOptions(implementation=kind)
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    num_gpus = len(tf.config.list_physical_devices("GPU"))
    if config.name == "mirrored" or (config.name == "auto" and num_gpus > 1):
        devices = _devices(config, num_gpus)
        return tf.distribute.MirroredStrategy(devices, cross_device_ops=_sums(devices))
    return tf.distribute.OneDeviceStrategy("/gpu:0" if num_gpus else "/cpu:0")


def _sums(devices: list[str]) -> tf.distribute.CrossDeviceOps:
    """How replicas sum what they have.

    Not by the collectives that are TensorFlow's default: within a loop it numbers them by the order of their names, in
    which the tenth comes before the second, so that replicas wait for each other at different sums.
    """
    return tf.distribute.NcclAllReduce() if "gpu" in devices[0] else tf.distribute.ReductionToOneDevice()


def _devices(config: StrategyConfig, num_gpus: int) -> list[str]:
    if config.cpu_replicas is not None:
        return _logical_cpus(config.cpu_replicas)
    if config.devices is not None:
        return _named(config.devices)
    if not num_gpus:
        raise InputError(
            "strategy=mirrored with strategy.devices=null takes all GPUs, and TensorFlow sees none. Set strategy=one, "
            "or strategy.cpu_replicas=2 to try it on the CPU."
        )
    return [f"/gpu:{i}" for i in range(num_gpus)]


def _named(devices: list[str]) -> list[str]:
    there = [f"{d.device_type.lower()}:{i}" for kind in ("GPU", "CPU") for i, d in enumerate(_logical(kind))]
    for device in devices:
        if device not in there:
            raise InputError(f"strategy.devices: there is no {device!r}; TensorFlow sees {', '.join(there)}.")
    if len({*devices}) < len(devices) or len({device[:3] for device in devices}) != 1:
        raise InputError(
            f"strategy.devices=[{','.join(devices)}]: expected one or more different devices, either GPUs or CPUs."
        )
    return [f"/{device}" for device in devices]


def _logical_cpus(num_replicas: int) -> list[str]:
    """The CPU as several devices. TensorFlow makes its devices once in a process, whoever asks first."""
    try:
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * num_replicas)
    except RuntimeError:  # they are made
        if len(_logical("CPU")) < num_replicas:
            raise InputError(
                f"strategy.cpu_replicas={num_replicas}: this process has begun with {len(_logical('CPU'))} on its CPU, "
                "and TensorFlow cannot change that. Run it in a process of its own, not as a job of such a sweep."
            ) from None
    return [f"/cpu:{i}" for i in range(num_replicas)]


def _logical(kind: str) -> list:
    return tf.config.list_logical_devices(kind)


def describe_device(strategy: tf.distribute.Strategy) -> str:
    """The devices in words: "1 GPU (NVIDIA H100)", "CPU, 2 cores", "2 replicas on CPU, 2 cores"."""
    if isinstance(strategy, tf.distribute.experimental.ParameterServerStrategy):
        workers, servers = strategy.extended._num_workers, strategy.extended._num_ps  # not public
        return f"asynchronous: {_counted(workers, 'worker')}, tables on {_counted(servers, 'server')}"
    devices, num_replicas = strategy.extended.worker_devices, strategy.num_replicas_in_sync
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and "GPU" in devices[0].upper():
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "unknown type")
        return f"{num_replicas} GPU{'s' * (num_replicas > 1)} ({name})"
    threads, cores = num_threads(), num_cores()
    cpu = f"CPU, {cores} cores" if threads == cores else f"CPU, {threads} of {cores} cores"
    return cpu if num_replicas == 1 else f"{num_replicas} replicas on {cpu}"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"
