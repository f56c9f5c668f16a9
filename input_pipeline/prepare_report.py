"""The page that shows what `prepare` made, so that a person can judge it."""

import shlex
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from input_pipeline import footage, schema
from input_pipeline.manifest import (
  Clip,
  ClipTrack,
  Manifest,
  load_clip,
  load_index,
)
from input_pipeline.page import (
  Block,
  Command,
  Facts,
  Page,
  Picture,
  Section,
  Sound,
  Table,
  Text,
  write_page,
)
from input_pipeline.shards import ShardReader
from input_pipeline.video import FrameReader, index_video
from input_pipeline.work_folder import REPORT_NAME

_SHEET_ROWS, _SHEET_COLUMNS, _SHEET_TILE = 3, 8, 160
_SCENE_FRAMES, _SCENE_HEIGHT = 4, 360
_JPEG_QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 88)

_INK, _SOFT, _BLUE, _ORANGE = "#1d2733", "#5b6875", "#2a6fb0", "#d2691e"
_GREY, _YELLOW = (226, 231, 236), (255, 190, 40)
_STYLE = {
  "font.size": 10,
  "axes.edgecolor": "#c5ced6",
  "axes.labelcolor": _SOFT,
  "axes.spines.top": False,
  "axes.spines.right": False,
  "xtick.color": _SOFT,
  "ytick.color": _SOFT,
}


# Of configs/ave.py.
_RECIPE_CROP_SIZE = 328


def next_command(manifest: Manifest) -> str:
  """What to type after `prepare`."""
  command = (
    "python -m synctalk_jax.train --config configs/ave.py --workdir WORK "
    f"--config.data.path={shlex.quote(str(manifest.folder))}"
  )
  size = manifest.shapes.crop_size
  if size == _RECIPE_CROP_SIZE:
    return command
  return f"{command} --config.data.crop_size={size}"


def write_report(manifest: Manifest) -> None:
  """Writes `report.html` and `report/` into the data folder."""
  pictures = manifest.folder / "report"
  pictures.mkdir(exist_ok=True)
  sections = [_checks(manifest), _summary(manifest)]
  for clip in manifest.clips:
    sections.append(_clip_section(manifest, clip, pictures))
  page = Page(
    title="Prepared footage",
    lead=_verdict(manifest),
    sections=sections,
    footer=f"Written by {manifest.created_by}, input_pipeline.prepare.",
  )
  write_page(page, manifest.folder / REPORT_NAME)


def count_warnings(manifest: Manifest) -> int:
  """How many checks did not pass."""
  return sum(finding["status"] != footage.PASS for finding in manifest.footage)


def _verdict(manifest: Manifest) -> str:
  seconds = sum(clip.duration_seconds for clip in manifest.clips)
  warnings = count_warnings(manifest)
  names = ", ".join(clip.source_name for clip in manifest.clips[:3])
  more = len(manifest.clips) - 3
  names += f" and {more} more" if more > 0 else ""
  outcome = (
    "Every check passed: this footage is ready to train on."
    if warnings == 0
    else f"Ready to train on, with {warnings} warning"
    f"{'s' if warnings > 1 else ''} to read first."
  )
  return f"{names}: {seconds:.1f} seconds. {outcome}"


def _checks(manifest: Manifest) -> Section:
  """All findings of a single clip; of several, those to read."""
  heading = "Is the footage fit to train on?"
  if len(manifest.clips) == 1:
    return Section(heading, [_findings_table(manifest.footage)])
  to_read = [
    finding | {"name": f"{finding['clip'] or 'All clips'}: {finding['name']}"}
    for finding in manifest.footage
    if finding["status"] != footage.PASS
  ]
  text = Text(
    "What did not pass, of all clips; the rest stands with each clip."
  )
  return Section(heading, [text, _findings_table(to_read)])


def _findings_table(findings: Sequence[dict[str, Any]]) -> Table:
  """The worst first."""
  order = (footage.FAIL, footage.WARN, footage.PASS)
  keys = ("name", "status", "measured", "wanted", "remedy")
  return Table(
    ["Check", "Outcome", "Measured", "Wanted", "What to do"],
    [
      [finding[key] for key in keys]
      for finding in sorted(findings, key=lambda f: order.index(f["status"]))
    ],
  )


def _summary(manifest: Manifest) -> Section:
  shards = [shard for split in manifest.splits.values() for shard in split]
  megabytes = sum(shard.bytes for shard in shards) / 1e6
  facts = Facts(
    [
      ("Training frames", str(manifest.num_records("train"))),
      ("Held-out frames", str(manifest.num_records("eval"))),
      ("Frame rate", f"{manifest.fps} per second"),
      ("Crop", f"{manifest.shapes.crop_size} px square"),
      ("Audio encoder", manifest.audio["encoder"]),
      ("Shards", f"{len(shards)} {manifest.shard_format}, {megabytes:.0f} MB"),
    ]
  )
  text = Text(
    "The held-out frames are the end of each clip; frames just before them "
    "are left out, so that nothing heard in training is asked for in the test."
  )
  return Section(
    "What was made", [facts, text, Command(next_command(manifest))]
  )


def _clip_section(manifest: Manifest, clip: Clip, folder: Path) -> Section:
  track = load_clip(manifest, clip.id)
  files = {
    name: f"{clip.id}-{name}"
    for name in ("crops.jpg", "frames.jpg", "track.png", "sound.png")
  }
  _save(folder / files["crops.jpg"], _contact_sheet(manifest, clip))
  _save(folder / files["frames.jpg"], _scenes(track))
  _plot_track(track, folder / files["track.png"])
  samples = _read_wav(track.audio)
  _plot_sound(samples, folder / files["sound.png"])
  blocks = [_clip_facts(clip), *_clip_pictures(clip, files)]
  if len(manifest.clips) > 1:
    own = [f for f in manifest.footage if f["clip"] == clip.id]
    blocks.append(_findings_table(own))
  return Section(clip.source_name, blocks)


def _clip_facts(clip: Clip) -> Facts:
  return Facts(
    [
      ("Length", f"{clip.duration_seconds:.2f} s, {clip.frames} frames"),
      (
        "Source",
        f"{clip.width}x{clip.height}, {clip.average_fps:.3g} frames/s",
      ),
      ("Frames with a face", f"{clip.face_frames / clip.frames:.1%}"),
      ("Usable frames", f"{clip.usable_frames / clip.frames:.1%}"),
    ]
  )


def _clip_pictures(clip: Clip, files: dict[str, str]) -> list[Block]:
  return [
    Picture(
      f"report/{files['crops.jpg']}",
      f"Contact sheet of crops of {clip.source_name}, evenly spaced in time",
      "Crops as the network sees them, in order. Each should run from "
      "mid-nose to below the chin, cheek to cheek, and show one person.",
    ),
    Picture(
      f"report/{files['frames.jpg']}",
      f"Frames of {clip.source_name} with the crop's box drawn on them",
      "Where the crops come from. Grey is outside the picture; there the crop "
      "repeats the picture's edge.",
    ),
    Picture(
      f"report/{files['track.png']}",
      "Plot over time of the box's place and width and of the frames in "
      "which a face was found",
      "The box should move smoothly. Steps are cuts; shaded times have no "
      "usable face.",
    ),
    Picture(
      f"report/{files['sound.png']}",
      "Plot of the sound track's waveform over time",
      "The sound as the audio encoder gets it: 16 kHz, one channel.",
    ),
    Sound(
      f"clips/{clip.id}/audio.wav",
      "The same sound, to listen to. It should be one voice, clear and in "
      "step with the video.",
    ),
  ]


def _contact_sheet(manifest: Manifest, clip: Clip) -> np.ndarray:
  """[H, W, 3] uint8 RGB: evenly spaced crops of a clip."""
  count = _SHEET_ROWS * _SHEET_COLUMNS
  places = _record_places(manifest, clip)
  spaced = np.linspace(0, len(places) - 1, count).round().astype(int)
  readers = {
    split: ShardReader(
      manifest.shard_folder, manifest.splits[split], manifest.shard_format
    )
    for split in schema.SPLITS
  }
  tiles = []
  for split, position in (places[i] for i in spaced):
    record = schema.decode(readers[split][position], manifest.shapes)
    tiles.append(
      cv2.resize(
        record["crop"],
        (_SHEET_TILE, _SHEET_TILE),
        interpolation=cv2.INTER_AREA,
      )
    )
  return _grid(tiles, _SHEET_COLUMNS)


def _record_places(manifest: Manifest, clip: Clip) -> list[tuple[str, int]]:
  """Split and position of each of a clip's records, in order of time."""
  number = manifest.clips.index(clip)
  return [
    (split, int(position))
    for split in schema.SPLITS
    for position in np.flatnonzero(load_index(manifest, split).clip == number)
  ]


def _grid(tiles: Sequence[np.ndarray], columns: int) -> np.ndarray:
  """Puts equal tiles into rows, with a white line between them."""
  padded = [
    cv2.copyMakeBorder(
      tile, 0, 4, 0, 4, cv2.BORDER_CONSTANT, value=(255, 255, 255)
    )
    for tile in tiles
  ]
  rows = [
    np.hstack(padded[start : start + columns])
    for start in range(0, len(padded), columns)
  ]
  return np.vstack(rows)[:-4, :-4]


def _scenes(track: ClipTrack) -> np.ndarray:
  """[H, W, 3] uint8 RGB: frames of the source with their boxes."""
  usable = np.flatnonzero(track.usable)
  frames = usable[
    np.linspace(0, len(usable) - 1, _SCENE_FRAMES).round().astype(int)
  ]
  boxes = track.boxes[frames]
  with FrameReader(index_video(track.video)) as reader:
    pictures = list(reader.read(track.source_frame[frames]))
  margins = _margins(boxes, *pictures[0].shape[:2])
  tiles = [
    _scene(picture, box, margins)
    for picture, box in zip(pictures, boxes, strict=True)
  ]
  # Four in a row, unless they are so wide that they would become small.
  height, width = tiles[0].shape[:2]
  return _grid(tiles, 2 if width > 1.2 * height else 4)


def _margins(boxes: np.ndarray, height: int, width: int) -> list[int]:
  """Pixels by which boxes reach out at the bottom, the left and the right."""
  sides = boxes[:, 2]
  reach = (
    (boxes[:, 1] + sides).max() - height,
    -boxes[:, 0].min(),
    (boxes[:, 0] + sides).max() - width,
  )
  return [int(np.ceil(amount)) + 4 if amount > 0 else 0 for amount in reach]


def _scene(
  picture: np.ndarray, box: np.ndarray, margins: Sequence[int]
) -> np.ndarray:
  """A frame, made smaller, grey around it, with the box drawn on it."""
  bottom, left, right = margins
  canvas = cv2.copyMakeBorder(
    picture, 0, bottom, left, right, cv2.BORDER_CONSTANT, value=_GREY
  )
  scale = _SCENE_HEIGHT / picture.shape[0]
  canvas = cv2.resize(
    canvas, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
  )
  corner = np.array([box[0] + left, box[1]])
  first, last = np.round(np.array([corner, corner + box[2]]) * scale).astype(
    int
  )
  return cv2.rectangle(
    canvas, first.tolist(), last.tolist(), _YELLOW, 2, cv2.LINE_AA
  )


def _read_wav(path: Path) -> np.ndarray:
  with wave.open(str(path)) as sound:
    return np.frombuffer(sound.readframes(sound.getnframes()), "<i2")


def _save(path: Path, picture: np.ndarray) -> None:
  _, data = cv2.imencode(
    ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _JPEG_QUALITY
  )
  path.write_bytes(data.tobytes())


def _new_figure(rows: int, height: float) -> tuple[Figure, np.ndarray]:
  figure = Figure(figsize=(9, height), dpi=120, layout="constrained")
  FigureCanvasAgg(figure)
  return figure, figure.subplots(rows, sharex=True, squeeze=False)[:, 0]


def _plot_track(track: ClipTrack, path: Path) -> None:
  seconds = np.arange(len(track.found)) / track.fps
  with mpl.rc_context(_STYLE):
    figure, (place, size) = _new_figure(2, 4.2)
    boxes = np.where(track.usable[:, None], track.boxes, np.nan)
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    place.plot(seconds, centres[:, 0], color=_BLUE, label="from the left")
    place.plot(seconds, centres[:, 1], color=_ORANGE, label="from the top")
    place.set_ylabel("box centre, px")
    place.legend(
      frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1)
    )
    size.plot(seconds, boxes[:, 2], color=_INK)
    size.set_ylabel("box width, px")
    size.set_xlabel("seconds")
    for axes in (place, size):
      axes.margins(x=0, y=0.25)
      _shade(axes, seconds, ~track.usable)
    held_out = track.clip.eval_start / track.fps
    if held_out < seconds[-1]:
      for axes in (place, size):
        axes.axvline(held_out, color=_SOFT, linestyle=":", linewidth=1)
      size.annotate(
        "held out \N{RIGHTWARDS ARROW} ",
        (held_out, 1),
        xycoords=("data", "axes fraction"),
        ha="right",
        va="top",
        color=_SOFT,
      )
    figure.savefig(path)


def _shade(axes, seconds: np.ndarray, where: np.ndarray) -> None:
  axes.fill_between(
    seconds,
    0,
    1,
    where=where,
    transform=axes.get_xaxis_transform(),
    color="#e9b7a5",
    alpha=0.5,
    linewidth=0,
  )


def _plot_sound(samples: np.ndarray, path: Path) -> None:
  # One column of pixels shows the loudest of the samples that fall into it.
  count = min(1_800, len(samples))
  blocks = np.array_split(samples.astype(np.float32) / 32_768, count)
  high = [block.max() for block in blocks]
  low = [block.min() for block in blocks]
  seconds = np.linspace(0, len(samples) / 16_000, count)
  with mpl.rc_context(_STYLE):
    figure, (axes,) = _new_figure(1, 1.9)
    axes.fill_between(seconds, low, high, color=_BLUE, linewidth=0.3)
    axes.set_ylim(-1, 1)
    axes.margins(x=0)
    axes.set_ylabel("level")
    axes.set_xlabel("seconds")
    figure.savefig(path)
