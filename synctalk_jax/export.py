"""Writes a trained network for TensorFlow and its servers: `export`."""

import argparse
import sys
from pathlib import Path

from input_pipeline.errors import run_command
from synctalk_jax import run_folder, runtime, saved_model_client
from synctalk_jax.export_check import ExportCheckError
from synctalk_jax.exporter import Export, export_run

EXIT_CHECK_FAILED = 3

_DESCRIPTION = """\
Writes a trained network as a SavedModel for TensorFlow and its servers.

The averaged weights of the run's newest checkpoint become OUT/1, the next
export OUT/2: the numbered versions that TensorFlow Serving expects. No JAX is
needed to run it; it takes any batch size, on CPU, GPU and TPU, in float32.

signatures, B faces at once:
  serving_default  crop [B, S, S, 3] uint8, audio [B, A, F] float32,
                   audio_starts [B, R] int32 -> face [B, S-8, S-8, 3] uint8
  predict_float    the same -> face float32 in [0, 1]
  encode_audio     samples [N] int16, 16 kHz, mono -> stream [T, F] float32,
                   80 rows a second, which `audio` is a slice of

OUT/1/assets.extra/synctalk.json names the sizes, the step, the versions and
the data trained on. Before OUT/1 appears, a process that has TensorFlow and
no JAX has loaded it, drawn random crops and held-out ones, and agreed with
the checkpoint; the differences it found are in that file too."""

_EPILOG = """\
example:
  python -m synctalk_jax.export --workdir runs/anna --out exports/anna

TensorFlow Serving 2.20 or later runs it, and only with
--xla_cpu_compilation_enabled=true or --xla_gpu_compilation_enabled=true:
without them every request fails with "XLA compilation disabled".

exit codes: 0 exported; 2 bad input, one line says what; 3 the SavedModel does
not answer as the checkpoint does, and was removed; 130 interrupted."""


def main(argv: list[str] | None = None) -> int:
  """Runs the command; returns its exit code."""
  return run_command(lambda: _run(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m synctalk_jax.export",
    description=_DESCRIPTION,
    epilog=_EPILOG,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument(
    "--workdir", type=Path, required=True, help="folder of the training run"
  )
  parser.add_argument(
    "--out",
    type=Path,
    required=True,
    help="folder of the numbered versions: new, empty, or of earlier exports",
  )
  return parser


def _run(args: argparse.Namespace) -> int:
  runtime.setup()
  run = run_folder.load(args.workdir)
  try:
    export = export_run(run, args.out)
  except ExportCheckError as error:
    print(f"error: {error}", file=sys.stderr)
    return EXIT_CHECK_FAILED
  _report(export)
  return 0


def _report(export: Export) -> None:
  measured = export.metadata["check"]
  difference = measured["max_abs_difference"]
  batches = ", ".join(map(str, measured["batch_sizes"]))
  print(
    f"exported: {export.folder}, step {export.metadata['step']}\n"
    f"run without JAX in batches of {batches}, on random input and "
    f"{measured['records']} records of the data; largest differences from "
    "the checkpoint:\n"
    f"  face   {difference['face_float']:.1e} of 1, or "
    f"{difference['face_uint8']:.0f} of 255 grey levels\n"
    f"  stream {difference['stream']:.1e} of 8\n"
    f"try it: python {saved_model_client.__file__} {export.folder.parent}"
  )


if __name__ == "__main__":
  sys.exit(main())
