"""A study's trials as one pandas table, a line a trial."""

from pathlib import Path

import pandas as pd

from hybridsep.report import folders


def trials(study: str, results: Path) -> pd.DataFrame:
    """Return a line for each run folder of a study that can be used; `attrs["left_out"]` says why others cannot.

    `error` is the test error in percent on the trial's own evaluation images, `error_all` on all test images; both are
    missing for a trial that has not finished. Raises ConfigError for a study that is not there.
    """
    [name] = folders.choose(results, study)
    runs, problems = folders.read(results, [name])
    lines = []
    for run in runs:
        record, result = run.record, run.record.result
        lines.append(
            {
                "study": run.study,
                "row": run.row,
                "trial": run.trial,
                "status": run.status.value,
                "error": result.test_error if result else None,
                "error_all": result.test_error_all if result else None,
                "epochs": result.epochs if result else None,
                "params": record.model.params,
                "macs": record.model.macs,
                "seconds": record.timings.seconds,
                "images_per_second": record.timings.train_images_per_second,
                "processor": record.machine.gpu or record.machine.processor,
                "commit": record.git.commit,
                "identity": record.identity,
                "folder": str(run.folder),
            }
        )
    frame = pd.DataFrame(lines)
    frame.attrs["left_out"] = [problem.message for problem in problems]
    return frame
