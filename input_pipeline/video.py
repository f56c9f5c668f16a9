"""Video and sound, in and out: one import for what the rest needs."""

from input_pipeline.audio_track import read_audio
from input_pipeline.video_index import VideoIndex, index_video, source_frames
from input_pipeline.video_reader import FrameReader
from input_pipeline.video_writer import VideoWriter

__all__ = [
  "FrameReader",
  "VideoIndex",
  "VideoWriter",
  "index_video",
  "read_audio",
  "source_frames",
]
