"""Every key there is, with its default; recipes override what they need."""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """The defaults. The comment on a key's line is what `--help` shows."""
  config = ml_collections.ConfigDict()
  config.seed = 0  # of initial weights and of the order of the data

  config.data = data = ml_collections.ConfigDict()
  data.path = ""  # folder made by input_pipeline.prepare; required
  data.crop_size = 328  # side of the face crop in pixels; 168 is a quarter

  config.audio = audio = ml_collections.ConfigDict()
  audio.encoder = "ave"  # what turns speech into features: ave
  audio.width = 32  # channels of the AVE encoder's first layer

  config.model = model = ml_collections.ConfigDict()
  model.name = "unet"  # the network: unet
  model.width = 64  # channels of the first level; cost grows with its square
  model.dtype = "auto"  # float32, bfloat16; auto: bfloat16 but on a CPU

  config.train = train = ml_collections.ConfigDict()
  train.steps = 50_000  # optimizer steps in all; a run goes on up to here
  train.batch_size = 8  # samples a step over all devices
  train.lr = 1e-3  # Adam's highest learning rate
  train.warmup_steps = 200  # steps from 0 to the highest rate
  train.schedule = "cosine"  # after the warm-up: constant, cosine
  train.grad_clip = 1.0  # largest norm of the gradient; 0: no limit
  train.ema_decay = 0.999  # of the averaged weights that are served
  train.loss = "l1"  # pixel loss: l1, l2
  train.mouth_weight = 4.0  # extra weight of the mouth's pixels
  train.log_every = 50  # steps between lines of metrics.jsonl
  train.eval_every = 1_000  # steps between held-out loss and sample pictures
  train.checkpoint_every = 1_000  # steps between checkpoints
  train.keep_checkpoints = 3  # the newest that are kept

  config.mesh = mesh = ml_collections.ConfigDict()
  mesh.data = -1  # devices the batch is split over; -1: all that are left
  mesh.fsdp = 1  # devices the parameters are split over
  return config
