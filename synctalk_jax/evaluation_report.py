"""What an evaluation leaves behind: numbers, a page, a film."""

import json
from pathlib import Path

import matplotlib
import numpy as np

import synctalk_jax
from input_pipeline import page
from input_pipeline.atomic_file import replacing
from input_pipeline.schema import encode_png
from synctalk_jax.evaluation import Comparison, Result, Score, to_facts
from synctalk_jax.run_folder import Run

matplotlib.use("Agg")
from matplotlib import pyplot as plt

SCHEMA_VERSION = 1
METRICS_FILE = "metrics.json"
PAGE_FILE = "report.html"
FILM_FILE = "side_by_side.mp4"
_OPENING_FILE = "opening.png"
_SHEET_FILE = "faces.png"

_COLUMNS = 8
_LABELS = {
  "psnr": ("PSNR", "{:.1f} dB"),
  "ssim": ("SSIM", "{:.3f}"),
  "mouth_psnr": ("PSNR at the mouth", "{:.1f} dB"),
  "mouth_error": ("error at the mouth", "{:.1f} grey levels"),
  "opening_correlation": ("correlation of the opening", "{:.3f}"),
  "opening_lag_frames": ("lag of the opening", "{:+d} frames"),
}


class ContactSheet:
  """Collects evenly spread faces: filmed above, drawn below."""

  def __init__(self, frames: np.ndarray):
    """Chooses which of `frames` to show."""
    chosen = np.linspace(0, len(frames) - 1, _COLUMNS).round().astype(int)
    self._wanted = set(frames[chosen].tolist())
    self._columns: list[np.ndarray] = []

  def add(self, item: Comparison) -> None:
    """Keeps the frame if it is one of the chosen."""
    if item.frame in self._wanted:
      self._columns.append(np.vstack([item.filmed_face, item.drawn_face]))

  def save(self, path: Path) -> None:
    """Writes the sheet as PNG."""
    path.write_bytes(encode_png(np.hstack(self._columns)))


def side_by_side(item: Comparison) -> np.ndarray:
  """Filmed left, drawn right, [H, 2 W, 3] uint8."""
  return np.hstack([item.filmed, item.drawn])


def write(
  folder: Path, run: Run, step: int, clip: str, fps: int, result: Result
) -> None:
  """Writes the numbers and the page.

  Args:
    folder: holds the film and the sheet already.
    run: the run that was evaluated.
    step: training step of the weights.
    clip: id of the clip.
    fps: of its timeline.
    result: what was measured.
  """
  facts = {
    "schema_version": SCHEMA_VERSION,
    "created_by": f"synctalk_jax {synctalk_jax.__version__}",
    "workdir": str(run.folder),
    "step": step,
    "clip": clip,
    "fps": fps,
    **to_facts(result),
  }
  _save_opening(folder / _OPENING_FILE, result, fps)
  with replacing(folder / METRICS_FILE) as temporary:
    temporary.write_text(json.dumps(facts, indent=2) + "\n")
  page.write_page(_page(run, step, clip, result), folder / PAGE_FILE)


def summary(result: Result) -> str:
  """The scores as lines for a terminal."""
  lines = [f"{'':28}{'drawn':>18}{'template':>18}"]
  for name, (label, form) in _LABELS.items():
    drawn = form.format(getattr(result.drawn, name))
    template = form.format(getattr(result.template, name))
    lines.append(f"{label:28}{drawn:>18}{template:>18}")
  return "\n".join(lines)


def sheet_path(folder: Path) -> Path:
  """Where the page expects the contact sheet."""
  return folder / _SHEET_FILE


def _page(run: Run, step: int, clip: str, result: Result) -> page.Page:
  truth = (
    "the landmarks of the filmed frames"
    if result.truth == "landmarks"
    else f"the known opening in {result.truth}"
  )
  return page.Page(
    title=f"How well {run.folder.name} talks",
    lead=(
      f"{len(result.frames)} frames of clip {clip} that were held out of "
      f"training, drawn at step {step:,} from their masked picture and their "
      "audio."
    ),
    sections=[
      page.Section(
        "Filmed and drawn",
        [
          page.Film(FILM_FILE, "Filmed left, drawn right, with the sound."),
          page.Picture(
            _SHEET_FILE,
            "two rows of faces, filmed above and drawn below",
            "Filmed above, drawn below. Look at the teeth and at the lips' "
            "edges.",
          ),
        ],
      ),
      page.Section(
        "Numbers",
        [
          page.Table(
            ("measure", "drawn", "template left as it is"),
            [
              (label, *_cells(name, form, result.drawn, result.template))
              for name, (label, form) in _LABELS.items()
            ],
          ),
          page.Text(
            "A network that ignores the audio scores like the template: a "
            f"loop of training frames. The true opening is {truth}."
          ),
        ],
      ),
      page.Section(
        "The mouth over time",
        [
          page.Picture(
            _OPENING_FILE,
            "curves of the mouth's opening, true and drawn",
            "Opening of the mouth, each curve in its own unit: mean 0, "
            "standard deviation 1.",
          )
        ],
      ),
    ],
    footer=f"synctalk_jax {synctalk_jax.__version__}",
  )


def _cells(name: str, form: str, *scores: Score) -> tuple[str, ...]:
  return tuple(form.format(getattr(score, name)) for score in scores)


def _save_opening(path: Path, result: Result, fps: int) -> None:
  figure, axes = plt.subplots(figsize=(9, 2.8), layout="constrained")
  seconds = result.frames / fps
  styles = {
    "template": {"color": "0.75", "linewidth": 1},
    "truth": {"color": "0.2", "linewidth": 1.6},
    "drawn": {"color": "tab:orange", "linewidth": 1.4},
  }
  for name, style in styles.items():
    axes.plot(seconds, _standardised(result.opening[name]), label=name, **style)
  axes.set_xlabel("seconds")
  axes.set_ylabel("opening")
  axes.margins(x=0)
  axes.legend(loc="upper right", ncols=3, frameon=False)
  figure.savefig(path, dpi=140)
  plt.close(figure)


def _standardised(series: np.ndarray) -> np.ndarray:
  spread = np.nanstd(series)
  return (series - np.nanmean(series)) / (spread if spread else 1.0)
