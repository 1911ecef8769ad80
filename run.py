"""Compose a configuration with Hydra and carry it out: `python run.py experiment=NAME group=choice key=value`.

`-m` sweeps: every combination of `key=value,value` is a run, in a folder and a process of its own.
"""

import sys

import hydra
from omegaconf import DictConfig

from llmimg.carry_out import carry_out
from llmimg.command_line import command_line
from llmimg.compose import errors_as_sentences, is_sweep, resolve, sweep_direction
from llmimg.errors import UserError
from llmimg.objective import check_direction, objective

failed: list[str] = []  # the runs of a sweep that could not be carried out


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> float | None:
    """Returns the objective, by default the task's headline on the validation split, for sweepers that look for the
    best."""
    with errors_as_sentences():
        resolved = resolve(config)
        check_direction(resolved, sweep_direction())
        try:
            return objective(resolved, carry_out(resolved, apart=is_sweep()))
        except UserError as error:
            if not is_sweep():
                raise
            print(f"llmimg: {error}", file=sys.stderr)
            failed.append(resolved["run_dir"])
            return float("nan")


if __name__ == "__main__":
    with errors_as_sentences():
        sys.argv[1:] = command_line(sys.argv[1:])
        main()
        if failed:
            raise UserError(f"{len(failed)} runs of the sweep failed: {', '.join(failed)}.")
