"""The working folder of a training run and the contract it keeps.

W/run.json            what was trained on what, written before the first step
W/checkpoints/STEP/   state and position in the data
W/metrics.jsonl       a line of metrics each `log_every` steps
W/samples/*.png       held-out crops: input, drawn, filmed
"""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import ml_collections

import synctalk_jax
from input_pipeline.atomic_file import replacing
from input_pipeline.errors import InputError
from input_pipeline.manifest import Manifest
from synctalk_jax.config import flatten
from synctalk_jax.network import NetworkSpec

FORMAT_VERSION = 1
_FILE_NAME = "run.json"
# Another value of these would continue a different run under the same name.
_FIXED_KEYS = ("seed", "model.dtype", "train.batch_size", "train.loss")


@dataclasses.dataclass(frozen=True)
class Run:
  """A training run on disk.

  Attributes:
    folder: the --workdir.
    spec: what fixes the network's shapes.
    config: the flattened config it was started with.
    data: `fingerprint` of the data set it learns from.
  """

  folder: Path
  spec: NetworkSpec
  config: dict[str, Any]
  data: dict[str, Any]

  @property
  def checkpoints(self) -> Path:
    return (self.folder / "checkpoints").resolve()

  @property
  def metrics(self) -> Path:
    return self.folder / "metrics.jsonl"

  @property
  def samples(self) -> Path:
    return self.folder / "samples"


def fingerprint(manifest: Manifest) -> dict[str, Any]:
  """What identifies a data set: its clips and the digest of its records."""
  return {
    "clips": {clip.id: clip.sha256 for clip in manifest.clips},
    "index_sha256": manifest.index_sha256,
    "records": manifest.num_records("train"),
  }


def network_spec(
  config: ml_collections.ConfigDict, manifest: Manifest
) -> NetworkSpec:
  """The network that a config trains on a data set.

  Raises:
    InputError: crop size or audio encoder differ between the two.
  """
  found, wanted = manifest.shapes.crop_size, config.data.crop_size
  if found != wanted:
    raise InputError(
      f"{manifest.folder} holds crops of {found} pixels, the config wants "
      f"{wanted}; pass --config.data.crop_size={found} or prepare with "
      f"--crop-size {wanted}"
    )
  if manifest.audio["encoder"] != config.audio.encoder:
    raise InputError(
      f"{manifest.folder} was prepared for the audio encoder "
      f"{manifest.audio['encoder']!r}, the config wants "
      f"{config.audio.encoder!r}; prepare with --encoder "
      f"{config.audio.encoder}"
    )
  return NetworkSpec(
    model=config.model.name,
    width=config.model.width,
    crop_size=wanted,
    audio_width=config.audio.width,
    audio=manifest.audio,
  )


def open_for_training(
  workdir: Path, config: ml_collections.ConfigDict, manifest: Manifest
) -> Run:
  """Starts a run, or goes on with the one that the folder holds.

  Raises:
    InputError: the folder holds something else, or a run that differs in
      what may not change.
  """
  run = Run(
    workdir,
    network_spec(config, manifest),
    flatten(config),
    fingerprint(manifest),
  )
  if (workdir / _FILE_NAME).exists():
    _check_same(load(workdir), run)
    return run
  if workdir.exists() and (not workdir.is_dir() or any(workdir.iterdir())):
    raise InputError(
      f"{workdir} holds something that is no training run; give --workdir a "
      "new or empty folder"
    )
  workdir.mkdir(parents=True, exist_ok=True)
  _write(run)
  return run


def load(workdir: str | os.PathLike) -> Run:
  """Reads what a run was.

  Raises:
    InputError: there is none, or it is of another version.
  """
  path = Path(workdir) / _FILE_NAME
  if not path.is_file():
    raise InputError(
      f"{workdir} holds no {_FILE_NAME}; expected the --workdir of python -m "
      "synctalk_jax.train"
    )
  try:
    fields = json.loads(path.read_text())
    version = fields["format_version"]
    if version == FORMAT_VERSION:
      return Run(
        Path(workdir),
        NetworkSpec(**fields["network"]),
        fields["config"],
        fields["data"],
      )
  except (ValueError, TypeError, KeyError) as error:
    raise InputError(
      f"{path} is damaged ({error}); train again into a new --workdir"
    ) from error
  raise InputError(
    f"{path} has format version {version}, this program reads "
    f"{FORMAT_VERSION}; train again into a new --workdir"
  )


def check_data(run: Run, manifest: Manifest) -> None:
  """Checks that a trained network can read a data set.

  Raises:
    InputError: names the first fact in which they differ.
  """
  pairs = {"crop_size": (run.spec.crop_size, manifest.shapes.crop_size)}
  for key in sorted({*run.spec.audio, *manifest.audio}):
    pairs[f"audio {key}"] = (
      run.spec.audio.get(key),
      manifest.audio.get(key),
    )
  for name, (trained, found) in pairs.items():
    if trained != found:
      raise InputError(
        f"{run.folder} was trained with {name} {trained!r}, {manifest.folder} "
        f"has {found!r}; prepare the video again with the settings of the "
        "training data"
      )


def _check_same(old: Run, new: Run) -> None:
  def refuse(name: str, was: Any, is_now: Any) -> None:
    raise InputError(
      f"{new.folder} is a run with {name} {was!r}, now it is {is_now!r}; give "
      "a new --workdir, or the old value to go on"
    )

  for field in dataclasses.fields(NetworkSpec):
    was, is_now = getattr(old.spec, field.name), getattr(new.spec, field.name)
    if was != is_now:
      refuse(field.name, was, is_now)
  for key in _FIXED_KEYS:
    if old.config.get(key) != new.config[key]:
      refuse(key, old.config.get(key), new.config[key])
  if old.data != new.data:
    refuse(
      "the data of clips", list(old.data["clips"]), new.config["data.path"]
    )


def _write(run: Run) -> None:
  fields = {
    "format_version": FORMAT_VERSION,
    "created_by": f"synctalk_jax {synctalk_jax.__version__}",
    "network": dataclasses.asdict(run.spec),
    "config": run.config,
    "data": run.data,
  }
  with replacing(run.folder / _FILE_NAME) as temporary:
    temporary.write_text(json.dumps(fields, indent=2) + "\n")
