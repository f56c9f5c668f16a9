"""Audio-driven lip-sync of a filmed person, trained and served with JAX."""

import importlib.metadata
import os

__version__ = "0.1.0"


def _work_around_cpu_fusion() -> None:
  """Switches off the one XLA:CPU fusion that computes garbage.

  In jaxlib 0.10 a convolution fused with a following reduction may read
  uninitialised memory on CPU. XLA reads the variable when its backend starts
  and refuses flags that it does not know, so it is set here, before any
  module of ours imports jax, and for the affected releases only.
  """
  flag = "--xla_cpu_experimental_ynn_fusion_type="
  flags = os.environ.get("XLA_FLAGS", "")
  if importlib.metadata.version("jaxlib").startswith("0.10.") and (
    flag not in flags
  ):
    os.environ["XLA_FLAGS"] = f"{flags} {flag}".strip()


_work_around_cpu_fusion()
