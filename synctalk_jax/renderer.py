"""Template frames and speech in, a talking face out."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from input_pipeline.crops import crop_face
from input_pipeline.errors import InputError
from input_pipeline.manifest import ClipTrack
from input_pipeline.video import FrameReader, index_video, read_audio
from synctalk_jax import compositing
from synctalk_jax.audio import features
from synctalk_jax.audio.windows import frame_window
from synctalk_jax.predictor import Predictor
from synctalk_jax.run_folder import Run

# Everything a batch needs at a time: frame on the output's timeline and the
# template's frame it is drawn into.
_Plan = list[tuple[int, int]]


def ping_pong(count: int, length: int) -> np.ndarray:
  """Walks a template forth and back, so that it never jumps.

  Args:
    count: frames wanted.
    length: frames of the template.

  Returns:
    [count] int64 in [0, length): 0, 1, .., length - 1, length - 2, .., 1, 0,
    1, ..
  """
  period = max(2 * length - 2, 1)
  position = np.arange(count) % period
  return np.minimum(position, period - position) if length > 1 else position


class Speech:
  """What the network hears: an audio file on the video's timeline.

  Attributes:
    num_frames: video frames that the audio lasts, the last one begun.
  """

  def __init__(self, path: Path, run: Run):
    """Reads the file and computes the encoder's stream.

    Args:
      path: any audio or video file with sound.
      run: whose audio encoder it is for.

    Raises:
      InputError: no readable sound, or less than a frame of it.
    """
    spec = run.spec.audio
    samples = read_audio(path, spec["sample_rate"])
    if len(samples) * spec["fps"] < spec["sample_rate"]:
      raise InputError(
        f"{path} has {1000 * len(samples) / spec['sample_rate']:.0f} ms of "
        f"sound, less than a video frame ({1000 / spec['fps']:.0f} ms)"
      )
    self._spec = spec
    self._stream = features.extract(samples, spec)
    # Ceiling division: audio that ends within a frame still shows it.
    self.num_frames = -(-len(samples) * spec["fps"] // spec["sample_rate"])

  def windows(self, frames: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """[B, A, F] float32 slices and [B, R] int32 starts of some frames."""
    return stack_windows(self._stream, frames, self.num_frames, self._spec)


def stack_windows(stream, frames, num_frames, spec):
  """`frame_window` of several frames, stacked."""
  pairs = [
    frame_window(stream, int(frame), num_frames, spec) for frame in frames
  ]
  slices, starts = zip(*pairs, strict=True)
  return np.stack(slices), np.stack(starts)


def render(
  predictor: Predictor, run: Run, track: ClipTrack, speech: Speech
) -> Iterator[np.ndarray]:
  """Draws a talking video, frame by frame, at constant memory.

  Args:
    predictor: the trained network.
    run: the run it was trained in.
    track: the template: a prepared clip.
    speech: what is said.

  Yields:
    `speech.num_frames` frames, [H, W, 3] uint8, RGB. Template frames without
    a usable face stay as they are.
  """
  template = ping_pong(speech.num_frames, track.clip.frames)
  alpha = compositing.feather(predictor.face_size)
  with FrameReader(index_video(track.video)) as reader:
    pictures = reader.read(track.source_frame[template])
    for plan in _batches(template, predictor.batch_size):
      frames = [next(pictures) for _ in plan]
      yield from _draw_batch(predictor, run, track, speech, plan, frames, alpha)


def _batches(template: np.ndarray, size: int) -> Iterator[_Plan]:
  plan = list(enumerate(template.tolist()))
  for start in range(0, len(plan), size):
    yield plan[start : start + size]


def _draw_batch(predictor, run, track, speech, plan, frames, alpha):
  usable = [i for i, (_, shown) in enumerate(plan) if track.usable[shown]]
  if usable:
    boxes = [track.boxes[plan[i][1]] for i in usable]
    crops = np.stack(
      [
        crop_face(frames[i], box, run.spec.crop_size)
        for i, box in zip(usable, boxes, strict=True)
      ]
    )
    faces = predictor.draw(crops, *speech.windows([plan[i][0] for i in usable]))
    for i, box, face in zip(usable, boxes, faces, strict=True):
      frames[i] = compositing.paste(frames[i], face, box, alpha)
  return frames
