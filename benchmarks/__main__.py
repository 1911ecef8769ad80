"""Each part runs in a process of its own: limits on threads must be set before anything is imported."""

import json
import os
import subprocess
import sys
import time

from benchmarks.machine import describe
from benchmarks.settings import ONE_CORE, parse
from llmimg.errors import UserError

_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def main(arguments: list[str]) -> int:
    try:
        names, _ = parse(arguments)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    values = [argument for argument in arguments if "=" in argument]
    result = {"machine": describe()}
    for name in names:
        started = time.perf_counter()
        print(f"{name} …", file=sys.stderr, flush=True)
        environment = os.environ | (_ONE_THREAD if name in ONE_CORE else {})
        command = [sys.executable, "-m", "benchmarks.part", name, *values]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            return done.returncode
        result[name] = json.loads(done.stdout)
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    result["machine"]["load_average_after"] = os.getloadavg()[0]
    print(json.dumps(result, indent=1))
    return 0


sys.exit(main(sys.argv[1:]))
