"""What tests read of TensorBoard's event files, and histories made for them."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hybridsep.runs import records
from hybridsep.runs.record import Epoch


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder)).Reload()


def points(found: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in found.Scalars(tag)]


def text(found: EventAccumulator, tag: str) -> str:
    (event,) = found.Tensors(tag)
    return event.tensor_proto.string_val[0].decode()


def history(errors: list[float]) -> list[Epoch]:
    """Return epochs in which each number is a simple function of the test error."""
    return [
        Epoch(epoch, error / 10, error - 1, error / 5, error, 0.1, 100.0, 1.0) for epoch, error in enumerate(errors, 1)
    ]


def write_history(results: Path, row: str, trial: int, errors: list[float], study: str = "s") -> Path:
    folder = records.run_folder(results, study, row, trial)
    folder.mkdir(parents=True, exist_ok=True)
    records.write_atomically(folder / "history.csv", records.history_bytes(history(errors)))
    return folder
