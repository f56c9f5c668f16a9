"""What a process sets before it computes."""

import logging
import os

import jax
from absl import logging as absl_logging


def setup() -> None:
  """Quiets libraries that log every file they touch."""
  absl_logging.set_verbosity(absl_logging.ERROR)
  logging.getLogger("jax").setLevel(logging.ERROR)
  # TensorFlow, where something imports it, reports its build at start.
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def describe_devices() -> str:
  """Such as `8 x cpu`."""
  devices = jax.devices()
  kind = devices[0].device_kind
  return f"{len(devices)} x {kind}"
