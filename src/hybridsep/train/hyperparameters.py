"""What TensorBoard's HParams table shows of a trial: what people vary, `row` and `trial` first, and five results.

TensorBoard takes the columns from the trial that it happens to read first, and leaves out what that one does not name.
It sorts them, those that are said to differ first and then by name, and opens on the first five. So all trials name the
same columns: `row` and `trial`, which alone are said to differ; the arguments of every module in conf/model as
`argument.*`, which comes next by name; and the keys of the configuration that people vary, `_KEYS`.
"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from hybridsep.config import Config, config_dir, plain
from hybridsep.config.identity import flatten
from hybridsep.config.overrides import read_yaml
from hybridsep.errors import ConfigError

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

# Of the configuration what is most often varied; all of it stands in the text `configuration`.
_KEYS = (
    "study",
    "seed",
    "match",
    "paired",
    "precision",
    "size.name",
    "augmentation.kind",
    "schedule.epochs",
    "schedule.batch_size",
    "schedule.learning_rate",
    "schedule.weight_decay",
)
_DIFFER = ("row", "trial")
METRICS = {
    "result/test error": "test error on the trial's images, %",
    "result/test error, all images": "test error on all images, %",
    "result/parameters": "parameters",
    "result/MACs": "MACs",
    "result/images per second": "images/s, median of the epochs",
}


def hyperparameters(config: Config, trial: int) -> dict[str, Any]:
    """Return `{column: value}` of a trial; numbers, else text."""
    arguments = {f"argument.{key}": value for key, value in config.model.module.items() if key != "_target_"}
    flat = flatten(plain(config))
    values = {"row": config.row, "trial": trial, **arguments, **{key: flat[key] for key in _KEYS}}
    numbers = _arguments()
    return {key: value if _is_number(value) and numbers.get(key, True) else str(value) for key, value in values.items()}


def begin(values: Mapping[str, Any]) -> list["Summary"]:
    """Return what a trial with these `hyperparameters` says when it begins: the table's columns, and its values."""
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    # A column that only other modules have is a number if it is one in all of conf/model.
    numbers = {**_arguments(), **{key: _is_number(value) for key, value in values.items()}}
    columns = [
        api_pb2.HParamInfo(
            name=key,
            type=api_pb2.DATA_TYPE_FLOAT64 if number else api_pb2.DATA_TYPE_STRING,
            differs=key in _DIFFER,
        )
        for key, number in numbers.items()
    ]
    metrics = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=title) for tag, title in METRICS.items()
    ]
    started = plugin_data_pb2.SessionStartInfo()
    for key, value in values.items():
        if _is_number(value):
            started.hparams[key].number_value = value
        else:
            started.hparams[key].string_value = value
    experiment = api_pb2.Experiment(hparam_infos=columns, metric_infos=metrics)
    return [
        _summary(metadata.EXPERIMENT_TAG, plugin_data_pb2.HParamsPluginData(experiment=experiment)),
        _summary(metadata.SESSION_START_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_start_info=started)),
    ]


def end() -> "Summary":
    """Return what a finished trial says to the table; its results are scalars with the tags of METRICS."""
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    ended = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS)
    return _summary(metadata.SESSION_END_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_end_info=ended))


@cache
def _arguments() -> dict[str, bool]:
    """Return `{column: whether it is a number}` of the arguments of all modules in conf/model."""
    numbers: dict[str, bool] = {}
    for path in sorted((config_dir() / "model").rglob("*.yaml")):
        try:
            module = read_yaml(path).get("module") or {}
            arguments = {f"argument.{key}": _is_number(value) for key, value in module.items() if key != "_target_"}
        except (ConfigError, AttributeError):
            # A model that is not the one being trained; Hydra says what is wrong with it when it is chosen.
            continue
        numbers |= {key: number and numbers.get(key, True) for key, number in arguments.items()}
    return numbers


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _summary(tag: str, content: Any) -> "Summary":
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    about = metadata.create_summary_metadata(content)
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)])
