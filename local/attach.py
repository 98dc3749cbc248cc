"""Runs a command as this very process, tied to the life of the one that started it.

`python attach.py SIGNAL PARENT COMMAND...` asks the Linux kernel to send the signal when the parent dies, by whatever
death, and then becomes the command (the wish survives exec). `local.processes` puts it in front of its commands; it
imports nothing of the project, so that it costs a few hundredths of a second.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Set the wish, check that the parent did not die before, and become the command."""
    signal_number, parent, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone")
    os.execv(command[0], command)  # noqa: S606  # the command is a list of its own, no shell is wanted


if __name__ == "__main__":
    main()
