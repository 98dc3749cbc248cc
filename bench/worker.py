"""Run what is measured in a process of its own, so that its memory and its imports are nobody else's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from local.plan import REPOSITORY
from local.settings import clean_environment


def result_of(module: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What a worker module prints as JSON for what is wanted of it. Raises CalledProcessError where it fails."""
    ended = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(wanted),
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        env=clean_environment(),
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(ended.stdout)
    return found
