"""predictions.npz keeps every label, however many classes there are, and refuses those that no class has."""

import io

import numpy as np
import pytest
from refusals import refused

from hybridsep.errors import RecordError
from hybridsep.runs import records


@pytest.mark.parametrize("classes, width", [(10, np.uint8), (256, np.uint8), (257, np.uint16), (70_000, np.uint32)])
def test_labels_are_as_wide_as_the_classes_need(tmp_path, classes, width):
    labels = np.array([0, classes // 2, classes - 1])
    logits = np.zeros((3, classes), np.float32)
    (tmp_path / "predictions.npz").write_bytes(records.predictions_bytes(logits, labels))
    kept, found = records.read_predictions(tmp_path)
    assert found.dtype == width and found.tolist() == labels.tolist() and kept.shape == logits.shape


@pytest.mark.parametrize("labels", [np.array([0, 3], np.uint8), np.array([0, 1], np.int64), np.array([0.0, 1.0])])
def test_labels_without_a_class_are_refused(tmp_path, labels):
    file = io.BytesIO()
    np.savez_compressed(file, logits=np.zeros((2, 3), np.float16), labels=labels)
    (tmp_path / "predictions.npz").write_bytes(file.getvalue())
    with refused(str(tmp_path), "labels", kind=RecordError):
        records.read_predictions(tmp_path)
