"""Compose a configuration with Hydra and carry it out: `python run.py experiment=NAME group=choice key=value`; `-m`
sweeps."""

import sys

import hydra
from omegaconf import DictConfig

from llmimg.carry_out import carry_out
from llmimg.compose import command_line, errors_as_sentences, plain_values


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> float | None:
    """Returns the validation accuracy, for sweepers that look for the best."""
    with errors_as_sentences():
        return carry_out(plain_values(config)).get("val/accuracy")


if __name__ == "__main__":
    with errors_as_sentences():
        sys.argv[1:] = command_line(sys.argv[1:])
        main()
