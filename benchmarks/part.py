"""One part, in this process: `python -m benchmarks.part NAME [key=value…]` prints its JSON."""

import contextlib
import importlib
import json
import os
import sys

from benchmarks.settings import ONE_CORE, parse
from llmimg.errors import UserError


def main(arguments: list[str]) -> int:
    (name,), settings = parse(arguments)
    if name in ONE_CORE and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    try:
        # Whatever a library prints goes with the progress; stdout is for the result alone.
        with contextlib.redirect_stdout(sys.stderr):
            result = importlib.import_module(f"benchmarks.{name}").measure(settings)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
