"""From a run's newest checkpoint to a numbered, checked SavedModel.

OUT/1/saved_model.pb, variables/     read by TensorFlow and TensorFlow Serving
OUT/1/assets.extra/synctalk.json     what it is, and how well it was measured
OUT/.unfinished/                     there only while an export runs
"""

import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np

import synctalk_jax
from input_pipeline.errors import InputError
from synctalk_jax.audio.features import ENCODERS, audio_spec
from synctalk_jax.checkpoint import restore_for_inference
from synctalk_jax.export_check import check
from synctalk_jax.models.unet import BORDER
from synctalk_jax.run_folder import Run
from synctalk_jax.saved_model_client import METADATA_PATH

# Raise it when a reader of the old metadata would misread the new.
SCHEMA_VERSION = 1

_UNFINISHED = ".unfinished"
_INSTALL = "pip install 'synctalk-jax[export]'"


@dataclasses.dataclass(frozen=True)
class Export:
  """A finished export.

  Attributes:
    folder: the SavedModel, OUT/VERSION.
    metadata: what its metadata file says.
  """

  folder: Path
  metadata: dict[str, Any]


def export_run(run: Run, out: Path) -> Export:
  """Writes the averaged weights of the newest checkpoint as a SavedModel.

  It appears under its number only after a process without JAX has loaded it
  and answered as the checkpoint does.

  Args:
    run: from `run_folder.load`.
    out: folder of numbered versions; new, empty, or holding exports.

  Returns:
    Where it lies and what was measured.

  Raises:
    InputError: no checkpoint, TensorFlow or a JAX that it can read is
      missing, or `out` holds something else.
    ExportCheckError: the SavedModel answers differently; nothing is left.
  """
  _check_installation()
  _check_audio(run)
  version = _next_version(out)
  step, variables = restore_for_inference(run)
  # On the host: what is traced and compared is the CPU's arithmetic.
  variables = jax.tree.map(np.asarray, variables)
  is_new = not out.exists()
  unfinished = out / _UNFINISHED
  shutil.rmtree(unfinished, ignore_errors=True)
  unfinished.mkdir(parents=True)
  try:
    metadata = _write(unfinished, run, step, variables)
    os.rename(unfinished, out / str(version))
  except BaseException:
    shutil.rmtree(out if is_new else unfinished)
    raise
  return Export(out / str(version), metadata)


def _write(folder: Path, run: Run, step: int, variables: Any) -> dict[str, Any]:
  # Read by TensorFlow when it is imported; see `saved_model_client`.
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
  os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
  from synctalk_jax import saved_model

  stored = saved_model.write(folder, run.spec, variables)
  metadata = _describe(run, step) | stored
  path = folder / METADATA_PATH
  path.parent.mkdir()
  path.write_text(json.dumps(metadata, indent=2) + "\n")
  metadata["check"] = check(folder, run, variables)
  path.write_text(json.dumps(metadata, indent=2) + "\n")
  return metadata


def _describe(run: Run, step: int) -> dict[str, Any]:
  sizes = dataclasses.asdict(run.spec)
  audio = sizes.pop("audio")
  length, dim, num_rows = run.spec.window_shape
  return {
    "schema_version": SCHEMA_VERSION,
    "created_by": f"synctalk_jax {synctalk_jax.__version__}",
    "step": step,
    "network": sizes | {"border": BORDER},
    "audio": audio,
    "window": {"rows": length, "dim": dim, "starts": num_rows},
    "data": run.data,
  }


def _check_installation() -> None:
  jax_version = importlib.metadata.version("jax")
  if not jax_version.startswith("0.10."):
    raise InputError(
      f"jax {jax_version} writes models that TensorFlow 2.21 cannot read; "
      f"expected jax 0.10.x: {_INSTALL}"
    )
  if importlib.util.find_spec("tensorflow") is None:
    raise InputError(f"export needs TensorFlow, which is missing: {_INSTALL}")
  try:
    jax.devices("cpu")
  except RuntimeError as error:
    raise InputError(
      f"JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS')} leaves out the CPU, "
      "on which an export is compared; unset it, or add ,cpu"
    ) from error


def _check_audio(run: Run) -> None:
  spec = run.spec.audio
  if (
    spec["encoder"] not in ENCODERS
    or audio_spec(spec["encoder"], spec["fps"]) != spec
  ):
    raise InputError(
      f"{run.folder} was trained on audio features that this version cannot "
      f"compute ({spec}); prepare its data again and train anew"
    )


def _next_version(out: Path) -> int:
  if not out.exists():
    return 1
  if not out.is_dir():
    raise InputError(f"--out {out} is a file; expected a folder")
  versions = [path for path in out.iterdir() if path.name != _UNFINISHED]
  for path in versions:
    if not path.name.isdecimal() or not (path / METADATA_PATH).is_file():
      raise InputError(
        f"--out {out} holds {path.name!r}, which is no export of ours; give "
        "a new or empty folder, or one that earlier exports are in"
      )
  return 1 + max((int(path.name) for path in versions), default=0)
