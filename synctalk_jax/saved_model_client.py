"""Calls an exported talking face from a process that has TensorFlow alone.

Copy this file and start from it: it needs nothing but TensorFlow and NumPy,
and forbids itself the import of JAX.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

METADATA_PATH = Path("assets.extra", "synctalk.json")

_DESCRIPTION = """\
Calls a SavedModel of python -m synctalk_jax.export with TensorFlow alone.

Prints what the model is and what its signatures take, then goes once from
sound to picture: a second of made-up audio to the encoder's stream, its first
window with a made-up crop to a face."""

_EPILOG = """\
example:
  python saved_model_client.py exports/anna
"""


def main(argv: list[str] | None = None) -> int:
  """Runs the script; returns its exit code."""
  args = _parser().parse_args(argv)
  # A model that needed JAX after all would fail here instead of in production.
  sys.modules["jax"] = None
  # Silence at start. What runs is one XLA program, without any TensorFlow
  # kernel that oneDNN could speed up.
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
  os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
  try:
    folder = newest_version(args.model)
    metadata = read_metadata(folder)
  except (OSError, ValueError) as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  model = load(folder)
  if args.inputs:
    answer_file(model, args.inputs, args.outputs)
  else:
    show_example(model, metadata)
  return 0


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python saved_model_client.py",
    description=_DESCRIPTION,
    epilog=_EPILOG,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument(
    "model",
    type=Path,
    help="what export was given as --out (its newest version is taken), or "
    "one version in it",
  )
  parser.add_argument(
    "--inputs",
    type=Path,
    metavar="IN.npz",
    help="answer these requests instead: arrays named REQUEST/SIGNATURE/INPUT",
  )
  parser.add_argument(
    "--outputs",
    type=Path,
    metavar="OUT.npz",
    default=Path("outputs.npz"),
    help="where the answers go, named REQUEST/SIGNATURE/OUTPUT (default: "
    "%(default)s)",
  )
  return parser


def newest_version(folder: Path) -> Path:
  """Finds the SavedModel that TensorFlow Serving would take.

  Args:
    folder: a SavedModel, or the folder of its numbered versions.

  Returns:
    The SavedModel's folder.

  Raises:
    ValueError: there is none.
  """
  if (folder / "saved_model.pb").is_file():
    return folder
  versions = [
    path
    for path in folder.glob("[0-9]*")
    if path.name.isdigit() and (path / "saved_model.pb").is_file()
  ]
  if not versions:
    raise ValueError(
      f"{folder} holds no SavedModel; expected the --out folder of python -m "
      "synctalk_jax.export"
    )
  return max(versions, key=lambda path: int(path.name))


def read_metadata(folder: Path) -> dict[str, Any]:
  """Reads what an exported model says about itself."""
  return json.loads((folder / METADATA_PATH).read_text())


def load(folder: Path) -> Any:
  """Loads a SavedModel; its `signatures` are functions by name."""
  import tensorflow as tf  # after its log level is set

  return tf.saved_model.load(str(folder))


def call(
  model: Any, signature: str, inputs: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
  """Calls one signature.

  Args:
    model: from `load`.
    signature: `serving_default`, `predict_float` or `encode_audio`.
    inputs: arrays by the signature's names.

  Returns:
    The answer's arrays by name.
  """
  import tensorflow as tf

  tensors = {name: tf.constant(array) for name, array in inputs.items()}
  answer = model.signatures[signature](**tensors)
  return {name: tensor.numpy() for name, tensor in answer.items()}


def answer_file(model: Any, inputs: Path, outputs: Path) -> None:
  """Answers every request of an .npz file into another."""
  requests: dict[tuple[str, str], dict[str, np.ndarray]] = {}
  with np.load(inputs) as arrays:
    for key, array in arrays.items():
      request, signature, name = key.split("/")
      requests.setdefault((request, signature), {})[name] = array
  answers = {
    f"{request}/{signature}/{name}": array
    for (request, signature), fields in requests.items()
    for name, array in call(model, signature, fields).items()
  }
  np.savez(outputs, **answers)


def show_example(model: Any, metadata: dict[str, Any]) -> None:
  """Prints the model's facts and goes from sound to picture once."""
  print(
    f"step {metadata['step']}, made by {metadata['created_by']}; encoder "
    f"{metadata['audio']['encoder']}, {metadata['audio']['fps']} frames/s"
  )
  for name, signature in model.signatures.items():
    takes = signature.structured_input_signature[1]
    print(f"{name}: {_describe(takes)} -> {_describe(signature.output_dtypes)}")
  rng = np.random.default_rng(0)
  rate = metadata["audio"]["sample_rate"]
  samples = rng.integers(-3_000, 3_000, rate, dtype=np.int16)
  stream = _timed_call(model, "encode_audio", {"samples": samples})["stream"]
  size = metadata["network"]["crop_size"]
  crop = rng.integers(0, 256, (1, size, size, 3), dtype=np.uint8)
  window, starts = first_window(stream, metadata)
  _timed_call(
    model,
    "serving_default",
    {"crop": crop, "audio": window[None], "audio_starts": starts[None]},
  )


def first_window(
  stream: np.ndarray, metadata: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
  """Takes the first window that lies wholly inside a recording.

  Args:
    stream: [T, F] float32, from `encode_audio`.
    metadata: from `read_metadata`.

  Returns:
    [A, F] float32, the window, and [R] int32, where each of the R video
    frames around the drawn one starts in it.
  """
  spec, window = metadata["audio"], metadata["window"]
  frames = np.arange(window["starts"])
  starts = frames * spec["stream_rate"] // spec["fps"]
  return stream[: window["rows"]], starts.astype(np.int32)


def _timed_call(model: Any, signature: str, inputs: dict) -> dict:
  """Calls twice and tells the second's time: the first compiles."""
  call(model, signature, inputs)
  started = time.perf_counter()
  outputs = call(model, signature, inputs)
  milliseconds = 1e3 * (time.perf_counter() - started)
  for name, array in outputs.items():
    print(
      f"{signature} gave {name} {array.dtype} {list(array.shape)} in "
      f"{milliseconds:.1f} ms"
    )
  return outputs


def _describe(tensors: dict[str, Any]) -> str:
  return ", ".join(
    f"{name} {spec.dtype.name} {list(spec.shape)}"
    if hasattr(spec, "shape")
    else f"{name} {spec.name}"
    for name, spec in sorted(tensors.items())
  )


if __name__ == "__main__":
  sys.exit(main())
