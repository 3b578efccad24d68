"""TensorBoard's logs of a stack."""

import math
from collections.abc import Sequence
from typing import Any

from experiments.run import Run
from experiments.store.file_names import file_name
from experiments.store.stack_folder import StackFolder
from ppo.algorithm import Metrics
from ppo.training import Training


def writers(folder: StackFolder, runs: Sequence[Run], steps_done: int) -> list[Any]:
    """Open a log for each run, in the stack's folder."""
    from torch.utils.tensorboard import SummaryWriter  # takes seconds to import

    names = [file_name(f"{run.setting}_{run.seed}") for run in runs]
    # scalars after the last checkpoint are logged again
    return [SummaryWriter(str(folder.path / "tensorboard" / name), purge_step=steps_done + 1) for name in names]


def log_scalars(writers: Sequence[Any], training: Training, metrics: Metrics) -> None:
    """Log the metrics of an iteration, each run's into its own."""
    if not writers:
        return
    step = training.algorithm.steps_done
    columns = {name: values.cpu().tolist() for name, values in metrics.items()}
    columns["charts/episodic_return"] = training.scores().tolist()
    columns["charts/SPS"] = [training.algorithm.steps_done / training.wall_time] * len(writers)
    for name, values in columns.items():
        for writer, value in zip(writers, values, strict=True):
            if math.isfinite(value):
                writer.add_scalar(name, value, step)
