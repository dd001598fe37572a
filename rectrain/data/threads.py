"""Work on several columns at once: Arrow, NumPy and the kernels of values.py let go of the GIL."""

import contextlib
import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache


def on_each(work: Callable, items: Iterable) -> list:
    """`[work(item) for item in items]`, several at a time; the first error in the order of the items is raised."""
    items = list(items)
    waiting = iter(range(len(items)))  # shared: each thread takes the next item as soon as it is free
    done: list = [None] * len(items)
    errors: dict[int, Exception] = {}

    def take():
        for i in waiting:
            try:
                done[i] = work(items[i])
            except Exception as error:
                errors[i] = error

    wait([_pool().submit(take) for _ in range(num_threads())])
    if errors:
        raise errors[min(errors)]
    return done


def load_early(module: str):
    """Begins to import what will be needed soon; an error shows where it is imported next."""
    _pool().submit(importlib.import_module, module)


@contextlib.contextmanager
def in_background() -> Iterator[Callable]:
    """Yields run(work, *arguments), which starts work in a thread once that given before is done, and raises its error.

    Only one piece of work is under way, so memory stays bounded; at the end all of it is done.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="background") as pool:
        last: list[Future] = []

        def run(work: Callable, *arguments):
            if last:
                last.pop().result()
            last.append(pool.submit(work, *arguments))

        yield run
        if last:
            last.pop().result()


def ahead(items: Iterator) -> Iterator:
    """The same items, each made in a thread while the one before is worked on."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(num_threads(), thread_name_prefix="columns")


def num_threads() -> int:
    """As many as TensorFlow is told to use, so that jobs side by side share the cores; else one a core."""
    told = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return int(told) if told.isascii() and told.isdigit() and int(told) else num_cores()


def num_cores() -> int:
    """That this process may run on."""
    return len(os.sched_getaffinity(0))
