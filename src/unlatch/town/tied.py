"""`python -m unlatch.town.tied PARENT COMMAND...`: runs `unlatch COMMAND...`, and dies with the process PARENT.

The kernel sees to it (PDEATHSIG), so that nothing of an installation stays behind, even after kill -9 of whoever
started it. The signal comes when the parent's *thread* that started us ends, which is to be its main thread.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, then become the command."""
    parent = int(sys.argv[1])
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        sys.exit(1)
    sys.argv[:] = ["unlatch", *sys.argv[2:]]
    # By name: the town knows nothing of the command line, it only starts it, as a shell would.
    runpy.run_module("unlatch.main", run_name="__main__")


if __name__ == "__main__":
    main()
