"""Held-out frames, drawn and compared with what was filmed."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from input_pipeline.crops import crop_face, to_crop
from input_pipeline.errors import InputError
from input_pipeline.landmarks import Landmarker, track_faces
from input_pipeline.manifest import ClipTrack
from input_pipeline.video import FrameReader, index_video
from synctalk_jax import compositing, metrics, mouth
from synctalk_jax.models.unet import BORDER
from synctalk_jax.predictor import Predictor
from synctalk_jax.renderer import ping_pong, stack_windows
from synctalk_jax.run_folder import Run


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
  """A held-out frame three times.

  Attributes:
    frame: its index on the clip's timeline.
    filmed: [H, W, 3] uint8, the frame as it is.
    drawn: [H, W, 3] uint8, with the drawn face pasted in.
    template: [H, W, 3] uint8, the training frame that a player without a
      network would show at this moment.
    filmed_face: [N, N, 3] uint8, the inner part of the frame's crop.
    drawn_face: [N, N, 3] uint8.
    template_face: [N, N, 3] uint8.
  """

  frame: int
  filmed: np.ndarray
  drawn: np.ndarray
  template: np.ndarray
  filmed_face: np.ndarray
  drawn_face: np.ndarray
  template_face: np.ndarray


@dataclasses.dataclass(frozen=True)
class Score:
  """How close faces are to the filmed ones.

  Attributes:
    psnr: dB, mean over frames, over the 320 (of 328) face.
    ssim: mean over frames, likewise.
    mouth_psnr: dB, mean over frames, over the rectangle around the lips.
    mouth_error: mean absolute difference there, in grey levels of 255.
    opening_correlation: of the mouth's opening with the truth's.
    opening_lag_frames: by how many frames the opening follows the truth's.
  """

  psnr: float
  ssim: float
  mouth_psnr: float
  mouth_error: float
  opening_correlation: float
  opening_lag_frames: int


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
  """What an evaluation found.

  Attributes:
    frames: [K] held-out frames that were compared.
    drawn: the network's score.
    template: the score of the template left as it is.
    opening: name to [K] opening of the mouth: truth, drawn, template.
    truth: where the true opening comes from: "landmarks" or a file.
    mouth_errors: [K] mean absolute difference at the mouth, grey levels.
  """

  frames: np.ndarray
  drawn: Score
  template: Score
  opening: dict[str, np.ndarray]
  truth: str
  mouth_errors: np.ndarray


def held_out_frames(track: ClipTrack) -> np.ndarray:
  """The frames of a clip's held-out tail that have a face of their own.

  Raises:
    InputError: there are fewer than two.
  """
  frames = np.arange(track.clip.eval_start, track.clip.frames)
  frames = frames[track.found[frames] & track.usable[frames]]
  if len(frames) < 2:
    raise InputError(
      f"clip {track.clip.id} has {len(frames)} held-out frames with a face; "
      "prepare it with a larger --holdout"
    )
  return frames


def compare(
  predictor: Predictor, run: Run, track: ClipTrack, frames: np.ndarray
) -> Iterator[Comparison]:
  """Draws held-out frames from their own masked picture and their audio.

  Args:
    predictor: the trained network.
    run: the run it was trained in.
    track: the clip.
    frames: from `held_out_frames`.

  Yields:
    One `Comparison` for each frame, in order.
  """
  clip = track.clip
  walk = ping_pong(clip.frames, max(clip.train_end, 1))
  templates = walk[frames - clip.eval_start]
  alpha = compositing.feather(predictor.face_size)
  index = index_video(track.video)
  with FrameReader(index) as filmed, FrameReader(index) as template:
    filmed_frames = filmed.read(track.source_frame[frames])
    template_frames = template.read(track.source_frame[templates])
    for start in range(0, len(frames), predictor.batch_size):
      part = slice(start, start + predictor.batch_size)
      pictures = [next(filmed_frames) for _ in frames[part]]
      crops = np.stack(
        [
          crop_face(picture, track.boxes[frame], run.spec.crop_size)
          for picture, frame in zip(pictures, frames[part], strict=True)
        ]
      )
      windows = stack_windows(
        track.features, frames[part], clip.frames, run.spec.audio
      )
      faces = predictor.draw(crops, *windows)
      for i, frame in enumerate(frames[part]):
        shown = next(template_frames)
        box = track.boxes[templates[start + i]]
        yield Comparison(
          int(frame),
          pictures[i],
          compositing.paste(pictures[i], faces[i], track.boxes[frame], alpha),
          shown,
          _inner(crops[i]),
          faces[i],
          _inner(crop_face(shown, box, run.spec.crop_size)),
        )


def evaluate(
  comparisons: Iterator[Comparison],
  run: Run,
  track: ClipTrack,
  landmarker: Landmarker,
  truth_file: Path | None,
  observe: Callable[[Comparison], None],
) -> Result:
  """Measures all comparisons in one pass.

  Args:
    comparisons: from `compare`.
    run: the run.
    track: the clip.
    landmarker: measures the mouth in the drawn frames.
    truth_file: `.npz` whose `opening` [frames of the clip] is the truth; None
      takes the landmarks of the filmed frames.
    observe: called with each comparison, for pictures and films.

  Returns:
    The result.

  Raises:
    InputError: the truth does not fit the clip, or no face was found in the
      drawn frames.
  """
  known = None if truth_file is None else load_opening(truth_file, track)
  frames, scores, template_scores = [], [], []

  def drawn_frames() -> Iterator[np.ndarray]:
    for item in comparisons:
      low, high = mouth.mouth_bounds(
        to_crop(
          track.landmarks[item.frame],
          track.boxes[item.frame],
          run.spec.crop_size,
        )
        - BORDER
      )
      region = _rectangle(low, high, item.filmed_face.shape[0])
      frames.append(item.frame)
      for face, into in (
        (item.drawn_face, scores),
        (item.template_face, template_scores),
      ):
        into.append(_picture_scores(item.filmed_face, face, region))
      observe(item)
      yield item.drawn

  points = track_faces(landmarker, drawn_frames()).landmarks
  frames = np.array(frames)
  filmed = mouth.opening(track.landmarks[frames])
  walk = ping_pong(track.clip.frames, max(track.clip.train_end, 1))
  template = mouth.opening(
    track.landmarks[walk[frames - track.clip.eval_start]]
  )
  opening = {
    "truth": filmed if known is None else known[frames],
    "drawn": mouth.opening(points),
    "template": template,
  }
  return Result(
    frames=frames,
    drawn=_score(scores, opening, "drawn"),
    template=_score(template_scores, opening, "template"),
    opening=opening,
    truth="landmarks" if truth_file is None else truth_file.name,
    mouth_errors=np.array(scores)[:, 3],
  )


def load_opening(path: Path, track: ClipTrack) -> np.ndarray:
  """Reads the true opening of the mouth of every frame of a clip.

  Raises:
    InputError: the file is no `.npz`, or not of this clip's length.
  """
  try:
    with np.load(path, allow_pickle=False) as arrays:
      opening = np.asarray(arrays["opening"], np.float64)
  except (OSError, ValueError, KeyError) as error:
    raise InputError(
      f"--truth {path}: expected an .npz file with an array 'opening'"
    ) from error
  if opening.shape != (track.clip.frames,):
    raise InputError(
      f"--truth {path}: 'opening' is {list(opening.shape)}, clip "
      f"{track.clip.id} has {track.clip.frames} frames"
    )
  return opening


def to_facts(result: Result) -> dict[str, Any]:
  """The scores in JSON types."""
  return {
    "frames": {
      "first": int(result.frames[0]),
      "last": int(result.frames[-1]),
      "count": len(result.frames),
    },
    "truth": result.truth,
    "drawn": dataclasses.asdict(result.drawn),
    "template": dataclasses.asdict(result.template),
  }


def _inner(crop: np.ndarray) -> np.ndarray:
  return crop[BORDER:-BORDER, BORDER:-BORDER]


def _rectangle(low, high, size) -> tuple[slice, slice]:
  """Pixels whose centres lie between two corners, one at the least."""
  first = np.clip(np.ceil(low - 0.5), 0, size - 1).astype(int)
  last = np.clip(np.floor(high - 0.5), first, size - 1).astype(int)
  return slice(first[1], last[1] + 1), slice(first[0], last[0] + 1)


def _picture_scores(filmed, face, region) -> tuple[float, ...]:
  """psnr, ssim, mouth_psnr and mouth_error of one frame."""
  difference = filmed[region].astype(np.float64) - face[region]
  return (
    metrics.psnr(filmed, face),
    metrics.ssim(filmed, face),
    metrics.psnr(filmed[region], face[region]),
    float(np.abs(difference).mean()),
  )


def _score(scores, opening, name) -> Score:
  seen = np.isfinite(opening[name]) & np.isfinite(opening["truth"])
  if seen.sum() < 2:
    raise InputError(
      f"no face was found in the {name} frames, so there is no mouth to "
      "measure; look at the sample pictures of the run, it may need more steps"
    )
  truth, measured = opening["truth"][seen], opening[name][seen]
  return Score(
    *np.mean(scores, axis=0).tolist(),
    opening_correlation=metrics.correlation(truth, measured),
    opening_lag_frames=metrics.lag_frames(truth, measured),
  )
