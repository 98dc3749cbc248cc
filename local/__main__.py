"""`python -m local`: see `local.command`, which is imported here so that an early Ctrl-C is answered in a line too."""

from __future__ import annotations

import sys


def main() -> int:
    """The exit code."""
    try:
        from local import command  # noqa: PLC0415 - importing it takes long enough to be interrupted

        return command.main()
    except KeyboardInterrupt:
        print("\nStopped before it was ready.", flush=True)
        return 130


if __name__ == "__main__":
    sys.exit(main())
