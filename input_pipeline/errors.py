"""The error that a user can mend, and how a command reports it."""

import errno
import os
import sys
from collections.abc import Callable

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

# What the operating system says when a path, a permission or a disk is at
# fault: the user's to mend, so one line instead of a traceback.
_USER_ERRNOS = frozenset(
  {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
  }
)


class InputError(ValueError):
  """Something the user gave does not fit.

  The message is one line: what was found, what was expected, and the flag or
  command that mends it.
  """


def run_command(main: Callable[[], int | None]) -> int:
  """Runs a command's `main` and turns its end into an exit code.

  Args:
    main: the command; returns an exit code, or None for success.

  Returns:
    `main`'s own code, 2 for an `InputError` or a file-system refusal (with
    one line on stderr), 130 after Ctrl-C. Any other exception is a defect of
    ours and keeps its traceback.
  """
  try:
    return main() or 0
  except InputError as error:
    _report(str(error))
  except OSError as error:
    if error.errno not in _USER_ERRNOS:
      raise
    where = f": {error.filename}" if error.filename else ""
    _report(f"{os.strerror(error.errno)}{where}")
  except KeyboardInterrupt:
    print("interrupted; run the same command to go on", file=sys.stderr)
    return EXIT_INTERRUPTED
  return EXIT_BAD_INPUT


def _report(message: str) -> None:
  print("error: " + " ".join(message.split()), file=sys.stderr)
