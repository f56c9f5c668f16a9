"""What the demo's speaker says, on one sound track.

The sentences are Harvard sentences, lists 1 to 3 for training and list 4
held out: phonetically balanced, from "IEEE Recommended Practice for Speech
Quality Measurements" (IEEE No. 297, 1969), in free use since.
"""

import dataclasses

import numpy as np

from input_pipeline.errors import InputError
from input_pipeline.speech_synthesis import Phoneme, Speech, synthesize

TRAINING_SENTENCES = (
  "The birch canoe slid on the smooth planks.",
  "Glue the sheet to the dark blue background.",
  "It's easy to tell the depth of a well.",
  "These days a chicken leg is a rare dish.",
  "Rice is often served in round bowls.",
  "The juice of lemons makes fine punch.",
  "The box was thrown beside the parked truck.",
  "The hogs were fed chopped corn and garbage.",
  "Four hours of steady work faced us.",
  "A large size in stockings is hard to sell.",
  "The boy was there when the sun rose.",
  "A rod is used to catch pink salmon.",
  "The source of the huge river is the clear spring.",
  "Kick the ball straight and follow through.",
  "Help the woman get back to her feet.",
  "A pot of tea helps to pass the evening.",
  "Smoky fires lack flame and heat.",
  "The soft cushion broke the man's fall.",
  "The salt breeze came across from the sea.",
  "The girl at the booth sold fifty bonds.",
  "The small pup gnawed a hole in the sock.",
  "The fish twisted and turned on the bent hook.",
  "Press the pants and sew a button on the vest.",
  "The swan dive was far short of perfect.",
  "The beauty of the view stunned the young boy.",
  "Two blue fish swam in the tank.",
  "Her purse was full of useless trash.",
  "The colt reared and threw the tall rider.",
  "It snowed, rained, and hailed the same morning.",
  "Read verse out loud for pleasure.",
)
HELDOUT_SENTENCES = (
  "Hoist the load to your left shoulder.",
  "Take the winding path to reach the lake.",
  "Note closely the size of the gas tank.",
  "Wipe the grease off his dirty face.",
  "Mend the coat before you go out.",
  "The wrist was badly strained and hung limp.",
  "The stray cat gave birth to kittens.",
  "The young girl gave no clear response.",
  "The meal was cooked before the bell rang.",
  "What joy there is in living.",
)

_LEAD_SECONDS = 0.6
_PAUSE_SECONDS = 0.4


@dataclasses.dataclass(frozen=True)
class Sentence:
  """A sentence on the track.

  Attributes:
    text: what is said.
    start_seconds: where its sound begins.
    end_seconds: where its sound ends.
    held_out: whether it belongs to the tail that training never sees.
  """

  text: str
  start_seconds: float
  end_seconds: float
  held_out: bool


@dataclasses.dataclass(frozen=True)
class SoundTrack:
  """The whole sound of the clip.

  Attributes:
    samples: [samples] int16, mono, a whole number of frames.
    rate: sampling rate, Hz.
    phonemes: on the track's time.
    sentences: in order, the held-out ones last.
    frame_count: length in video frames.
    heldout_start_frame: first frame of the held-out tail.
  """

  samples: np.ndarray
  rate: int
  phonemes: tuple[Phoneme, ...]
  sentences: tuple[Sentence, ...]
  frame_count: int
  heldout_start_frame: int


def record_track(
  training_seconds: float, heldout_seconds: float, fps: int
) -> SoundTrack:
  """Speaks as many sentences as each part needs to last that long.

  A sentence sounds the same in a track of any length. Silence lies between
  the sentences and at both ends of each part.

  Raises:
    InputError: there are not enough sentences, or espeak-ng is missing.
  """
  texts = TRAINING_SENTENCES + HELDOUT_SENTENCES
  speeches = synthesize(texts)
  rate = speeches[0].rate
  if rate % fps:
    raise ValueError(f"{rate} Hz is no whole number of samples at {fps} fps")
  split = len(TRAINING_SENTENCES)
  spoken = list(zip(texts, speeches, strict=True))
  training = _lay_out(spoken[:split], training_seconds, fps, 0.0, False)
  if training is None:
    raise InputError(_too_long("--training-seconds", training_seconds, split))
  heldout_start = len(training.samples) / rate
  heldout = _lay_out(spoken[split:], heldout_seconds, fps, heldout_start, True)
  if heldout is None:
    raise InputError(
      _too_long("--heldout-seconds", heldout_seconds, len(HELDOUT_SENTENCES))
    )
  samples = np.concatenate([training.samples, heldout.samples])
  return SoundTrack(
    samples=samples,
    rate=rate,
    phonemes=training.phonemes + heldout.phonemes,
    sentences=training.sentences + heldout.sentences,
    frame_count=len(samples) * fps // rate,
    heldout_start_frame=len(training.samples) * fps // rate,
  )


@dataclasses.dataclass(frozen=True)
class _Part:
  """The training or the held-out part of a `SoundTrack`."""

  samples: np.ndarray
  phonemes: tuple[Phoneme, ...]
  sentences: tuple[Sentence, ...]


def _lay_out(
  spoken: list[tuple[str, Speech]],
  seconds: float,
  fps: int,
  start_seconds: float,
  held_out: bool,
) -> _Part | None:
  """Strings sentences together until they last `seconds`, or gives None."""
  rate = spoken[0][1].rate
  pieces = [np.zeros(round(_LEAD_SECONDS * rate), np.int16)]
  phonemes: list[Phoneme] = []
  sentences: list[Sentence] = []
  count = len(pieces[0])
  for text, speech in spoken:
    begin = start_seconds + count / rate
    sentences.append(Sentence(text, begin, begin + speech.seconds, held_out))
    phonemes += [
      Phoneme(
        phoneme.ipa, begin + phoneme.start_seconds, begin + phoneme.end_seconds
      )
      for phoneme in speech.phonemes
    ]
    pieces += [speech.samples, np.zeros(round(_PAUSE_SECONDS * rate), np.int16)]
    count += len(pieces[-2]) + len(pieces[-1])
    if count >= seconds * rate:
      break
  else:
    return None
  # Both parts begin and end with a frame.
  pieces.append(np.zeros(-count % (rate // fps), np.int16))
  return _Part(np.concatenate(pieces), tuple(phonemes), tuple(sentences))


def _too_long(flag: str, seconds: float, sentence_count: int) -> str:
  return (
    f"{flag} {seconds:g} asks for more than the {sentence_count} sentences "
    "there are; give a smaller number"
  )
