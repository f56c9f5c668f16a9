"""A look at frames that training never sees, while it runs."""

from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np
from jax.sharding import Mesh

from input_pipeline.atomic_file import replacing
from input_pipeline.dataset import RecordSource
from input_pipeline.manifest import Manifest, load_index
from input_pipeline.schema import encode_png
from synctalk_jax import network, sharding
from synctalk_jax.losses import pixel_loss, target_of
from synctalk_jax.masking import network_input
from synctalk_jax.models.unet import BORDER
from synctalk_jax.train_step import make_predict

_NUM_FRAMES = 32
_NUM_PICTURES = 6
_FIELDS = ("crop", "audio", "audio_starts", "landmarks")


class HeldOut:
  """Held-out frames, spread evenly, and what the averaged weights draw."""

  def __init__(
    self,
    model: network.TalkingFace,
    manifest: Manifest,
    train: ml_collections.ConfigDict,
    mesh: Mesh,
  ):
    """Reads the frames; they are the same throughout a run.

    Args:
      model: the network.
      manifest: the data.
      train: `config.train`.
      mesh: where the batches go.
    """
    source = RecordSource(manifest, "eval", only_valid=True, verify=False)
    size = train.batch_size
    count = -(-min(_NUM_FRAMES, len(source)) // size) * size
    positions = np.linspace(0, len(source) - 1, count).round().astype(int)
    records = [source[int(position)] for position in positions]
    self._batches = [
      {
        key: np.stack([record[key] for record in records[i : i + size]])
        for key in _FIELDS
      }
      for i in range(0, count, size)
    ]
    self._mesh = mesh
    self._evaluate = jax.jit(_make_evaluate(model, train))

  def metrics(self, variables: Any) -> dict[str, float]:
    """Means over the frames; see `losses.pixel_loss` for what they are."""
    parts = [self._run(variables, batch)[0] for batch in self._batches]
    return {
      f"eval_{key}": float(np.mean([part[key] for part in parts]))
      for key in parts[0]
    }

  def save_picture(self, variables: Any, path: Path) -> None:
    """Writes a PNG: a column a frame; input, drawn and filmed below."""
    batch = self._batches[len(self._batches) // 2]
    _, drawn = self._run(variables, batch)
    inputs = np.asarray(network_input(batch["crop"]))[..., :3]
    inner = slice(BORDER, -BORDER)
    rows = [
      inputs[:, inner, inner] * 255.0,
      np.asarray(drawn) * 255.0,
      batch["crop"][:, inner, inner],
    ]
    sheet = np.concatenate(
      [np.concatenate(list(row[:_NUM_PICTURES]), axis=1) for row in rows]
    )
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as temporary:
      temporary.write_bytes(encode_png(sheet.round().astype(np.uint8)))

  def _run(self, variables, batch):
    return self._evaluate(variables, sharding.to_devices(batch, self._mesh))


def has_frames(manifest: Manifest) -> bool:
  """Whether the held-out tail of the footage shows the face at all."""
  return bool(load_index(manifest, "eval").valid.any())


def _make_evaluate(model, train):
  predict = make_predict(model)

  def evaluate(variables, batch):
    drawn = predict(
      variables, batch["crop"], batch["audio"], batch["audio_starts"]
    )
    _, parts = pixel_loss(
      drawn,
      target_of(batch["crop"]),
      batch["landmarks"],
      kind=train.loss,
      mouth_weight=train.mouth_weight,
    )
    return parts, drawn

  return evaluate
