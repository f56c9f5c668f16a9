"""Processes that share work, and end with the process that started them."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from multiprocessing import connection

import cv2

from input_pipeline.errors import InputError


class WorkerLostError(InputError):
  """A worker process was killed, which running again may mend."""


def available_cores() -> int:
  """How many cores this process may use."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


class Workers:
  """A pool of single-threaded processes.

  Use as a context manager; leaving it ends the processes.
  """

  def __init__(self, count: int):
    # Spawned, not forked: the parent may run threads that a fork would cut.
    self._pool = futures.ProcessPoolExecutor(
      count, multiprocessing.get_context("spawn"), _start_worker
    )

  def __enter__(self) -> "Workers":
    return self

  def __exit__(self, *unused) -> None:
    self._pool.shutdown(wait=True, cancel_futures=True)

  def run(self, function: Callable, tasks: Sequence) -> Iterator:
    """Yields the results of `function(task)` as they come, in any order.

    Raises:
      WorkerLostError: a process was killed.
    """
    pending = [self._pool.submit(function, task) for task in tasks]
    try:
      for future in futures.as_completed(pending):
        yield future.result()
    except futures.process.BrokenProcessPool as error:
      raise WorkerLostError(
        "a worker process was killed, perhaps for want of memory; run the "
        "same command again, it goes on where it stopped, with a smaller "
        "--workers"
      ) from error
    finally:
      for future in pending:
        future.cancel()


def _start_worker() -> None:
  cv2.setNumThreads(1)
  # Ctrl-C reaches the whole process group; the parent alone answers it.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  # C++ libraries log to standard error, across the parent's progress bars;
  # exceptions reach the parent by another way.
  os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
  """Ends this process when its parent is gone, however it went."""
  connection.wait([multiprocessing.parent_process().sentinel])
  os._exit(1)
