"""TFX's Tuner leaves the values and scores of the trials that ended well, and nothing else."""

from __future__ import annotations

from typing import Any

from tfx.components.tuner import executor
from tfx.types import artifact_utils, standard_component_specs

from components.tuner import trials


class Executor(executor.Executor):
    """Searches as TFX does, and leaves what became of each trial."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: Any) -> None:  # noqa: N802
        """Called by TFX.

        The tuner that `tuner_fn` makes tells of its trials by `told() -> list[trials.Trial]`.
        """
        tuner: Any = executor.search(
            input_dict, exec_properties, self._get_tmp_dir(), print_tuning_summary=False
        )
        executor.write_best_hyperparameters(tuner, output_dict)
        results = output_dict[standard_component_specs.TUNER_RESULTS_KEY]
        trials.write(artifact_utils.get_single_uri(results), tuner.told())
