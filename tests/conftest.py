"""What every test stands on: eight CPU devices, and where the parts are."""

import os

# Both must be set before jax is imported: eight fake devices, so that
# sharding is exercised on any machine.
os.environ["XLA_FLAGS"] = " ".join(
  [
    os.environ.get("XLA_FLAGS", ""),
    "--xla_force_host_platform_device_count=8",
  ]
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from pathlib import Path

import pytest

import synctalk_jax  # noqa: F401  (adds the jaxlib workaround to XLA_FLAGS)

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
  """The folder of real clips beside the checkout, where there is one."""
  if not (SHARED / "clips").is_dir():
    pytest.skip("no folder of real clips beside the checkout (../shared)")
  return SHARED


@pytest.fixture(scope="session")
def landmark_model() -> Path:
  """The MediaPipe bundle that `make` fetches."""
  from input_pipeline.errors import InputError
  from input_pipeline.face_model import resolve_model

  try:
    return resolve_model(None)
  except InputError as error:
    pytest.skip(str(error))
