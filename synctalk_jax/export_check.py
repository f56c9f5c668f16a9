"""Compares a SavedModel, run without JAX, with the network it was made of."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from input_pipeline import manifest as manifest_lib
from input_pipeline.dataset import RecordSource
from input_pipeline.errors import InputError
from synctalk_jax import network, run_folder, saved_model_client
from synctalk_jax.audio import features
from synctalk_jax.predictor import to_uint8
from synctalk_jax.run_folder import Run
from synctalk_jax.train_step import make_predict

BATCH_SIZES = (1, 3, 4)
# Lengths round a hop of the mel spectrogram, and some seconds.
_AUDIO_SAMPLES = (1, 199, 200, 48_037)

# The largest differences that another compiler's order of additions makes.
# The stream is a logarithm, which magnifies them where it is quiet.
TOLERANCES = {
  "face_float": 1e-5,
  "face_uint8": 1,
  "stream": 1e-4,
}

Arrays = dict[str, np.ndarray]


class ExportCheckError(RuntimeError):
  """The SavedModel does not do what the checkpoint does."""


def check(folder: Path, run: Run, variables: Any) -> dict[str, Any]:
  """Runs a SavedModel in a process without JAX and compares its answers.

  Args:
    folder: the SavedModel.
    run: the run it was made of; random inputs are joined by held-out records
      where its data folder is still there.
    variables: the weights it was made of.

  Returns:
    What was measured, in JSON types: `batch_sizes`; `records`, how many
    different ones of the data were drawn; for each of `TOLERANCES` the
    largest absolute difference; `tolerances`.

  Raises:
    ExportCheckError: it could not be run, or a difference is too large.
  """
  records = _data_records(run, sum(BATCH_SIZES))
  faces = _random_requests(run.spec) | _record_requests(records)
  waveforms = _random_waveforms()
  requests = {
    f"{name}/{signature}/{key}": array
    for name, inputs in faces.items()
    for signature in ("serving_default", "predict_float")
    for key, array in inputs.items()
  } | {
    f"{name}/encode_audio/samples": samples
    for name, samples in waveforms.items()
  }
  answers = run_client(folder, requests)
  differences = _face_differences(answers, faces, run.spec, variables)
  differences["stream"] = max(
    _difference(
      answers[f"{name}/encode_audio/stream"],
      features.extract(samples, run.spec.audio),
    )
    for name, samples in waveforms.items()
  )
  _refuse_large(differences)
  return {
    "batch_sizes": list(BATCH_SIZES),
    "records": len(records),
    "max_abs_difference": differences,
    "tolerances": TOLERANCES,
  }


def run_client(folder: Path, requests: Arrays) -> Arrays:
  """Answers requests by `saved_model_client.py`, in a process of its own.

  Args:
    folder: the SavedModel.
    requests: arrays named REQUEST/SIGNATURE/INPUT.

  Returns:
    Arrays named REQUEST/SIGNATURE/OUTPUT.

  Raises:
    ExportCheckError: the process failed.
  """
  # TensorFlow's XLA aborts at flags that only jaxlib's knows. A GPU would
  # multiply in TF32, which is another arithmetic than the one compared with.
  environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
  environment["CUDA_VISIBLE_DEVICES"] = "-1"
  with tempfile.TemporaryDirectory() as scratch:
    inputs, outputs = Path(scratch, "in.npz"), Path(scratch, "out.npz")
    np.savez(inputs, **requests)
    process = subprocess.run(
      [
        sys.executable,
        # Not to take this package's modules for top-level ones.
        "-P",
        saved_model_client.__file__,
        str(folder),
        f"--inputs={inputs}",
        f"--outputs={outputs}",
      ],
      env=environment,
      capture_output=True,
      text=True,
      check=False,
    )
    if process.returncode:
      reason = process.stderr.strip().splitlines() or ["no message"]
      raise ExportCheckError(
        f"the SavedModel does not run without JAX (exit code "
        f"{process.returncode}): {reason[-1]}"
      )
    with np.load(outputs) as arrays:
      return dict(arrays)


def _face_differences(
  answers: Arrays,
  faces: dict[str, Arrays],
  spec: network.NetworkSpec,
  variables: Any,
) -> dict[str, float]:
  predict = jax.jit(make_predict(network.build(spec)))
  floats, levels = [], []
  for name, inputs in faces.items():
    # One by one: a single compilation, and no face may depend on the others.
    singles = [
      {key: array[i : i + 1] for key, array in inputs.items()}
      for i in range(len(inputs["crop"]))
    ]
    with jax.default_device(jax.devices("cpu")[0]):
      expected = np.concatenate([predict(variables, **x) for x in singles])
    face = answers[f"{name}/predict_float/face"]
    floats.append(_difference(face, expected))
    face = answers[f"{name}/serving_default/face"]
    levels.append(_difference(face, to_uint8(expected)))
  return {"face_float": max(floats), "face_uint8": max(levels)}


def _difference(answer: np.ndarray, expected: Any) -> float:
  expected = np.asarray(expected)
  if (answer.shape, answer.dtype) != (expected.shape, expected.dtype):
    raise ExportCheckError(
      f"the SavedModel answers {answer.dtype} {list(answer.shape)}, the "
      f"checkpoint {expected.dtype} {list(expected.shape)}"
    )
  return float(np.abs(answer.astype(np.float64) - expected).max())


def _refuse_large(differences: dict[str, float]) -> None:
  for name, tolerance in TOLERANCES.items():
    # Not `>`: a NaN is refused too.
    if not differences[name] <= tolerance:
      raise ExportCheckError(
        f"the SavedModel's {name} differs from the checkpoint's by "
        f"{differences[name]:.3g}, more than {tolerance:g}"
      )


def _random_requests(spec: network.NetworkSpec) -> dict[str, Arrays]:
  rng = np.random.default_rng(0)
  size, (length, dim, num_rows) = spec.crop_size, spec.window_shape
  last_start = length - spec.audio["row_length"]
  return {
    f"random{batch}": {
      "crop": rng.integers(0, 256, (batch, size, size, 3), np.uint8),
      "audio": rng.uniform(-4, 4, (batch, length, dim)).astype(np.float32),
      "audio_starts": rng.integers(
        0, last_start, (batch, num_rows), np.int32, endpoint=True
      ),
    }
    for batch in BATCH_SIZES
  }


def _random_waveforms() -> Arrays:
  rng = np.random.default_rng(1)
  return {
    f"waveform{length}": rng.integers(-9_000, 9_000, length, np.int16)
    for length in _AUDIO_SAMPLES
  }


def _data_records(run: Run, count: int) -> list[dict[str, Any]]:
  """Up to `count` records, held out if any are, spread over the footage.

  None where the run's data folder is gone, changed or damaged: a network can
  be exported long after its footage was deleted.
  """
  try:
    manifest = manifest_lib.load(run.config["data.path"])
    if run_folder.fingerprint(manifest) != run.data:
      return []
    split = "eval" if manifest.num_records("eval") else "train"
    source = RecordSource(manifest, split, only_valid=True, verify=False)
    count = min(count, len(source))
    positions = np.linspace(0, len(source) - 1, count).astype(int)
    return [source[int(position)] for position in positions]
  except InputError:
    return []


def _record_requests(records: list[dict[str, Any]]) -> dict[str, Arrays]:
  """Batches of all `BATCH_SIZES`; a short footage's records come again."""
  if not records:
    return {}
  requests, first = {}, 0
  for batch in BATCH_SIZES:
    chosen = [records[(first + i) % len(records)] for i in range(batch)]
    requests[f"records{batch}"] = {
      name: np.stack([record[name] for record in chosen])
      for name in ("crop", "audio", "audio_starts")
    }
    first += batch
  return requests
