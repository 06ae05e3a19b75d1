"""The sensitivity analysis as tables: one line per row, one column per protocol choice."""

from typing import Any

from hybridsep.report.sample import Sample
from hybridsep.report.sensitivity import Sensitivity
from hybridsep.report.settings import Choices
from hybridsep.report.table import Column, Table, interval, number


def build(sample: Sample, found: Sensitivity, choices: Choices, frame: dict[str, Any]) -> list[Table]:
    """Return the tables of |d| and of the signed difference under each choice, and of the redrawn ranking."""
    if not found.choices:
        return []
    ways = list(dict.fromkeys((entry["pairing"], entry["subset"], entry["images"]) for entry in found.choices))
    ways.sort(key=lambda way: way[0] != "paired")
    cells = {(entry["row"], entry["pairing"], entry["subset"]): entry for entry in found.choices}
    rows = list(dict.fromkeys(entry["row"] for entry in found.choices))
    lines = [{"row": row, "label": cells[row, *ways[0][:2]]["label"]} for row in rows]
    floors = {(entry["pairing"], entry["subset"]): entry["floor"] for entry in found.choices}
    label = Column("Row", lambda line: line["label"], wide=True)

    def column(way: tuple[str, str, int], text: Any) -> Column:
        pairing, subset, images = way
        name = {"paper": f"{images:,} per trial", "fixed": f"{images:,} fixed", "all": f"all {images:,}"}[subset]
        return Column(f"{name}, {pairing}", lambda line: text(line, pairing, subset))

    def absolute(line: dict[str, Any], pairing: str, subset: str) -> str:
        if line["row"] == "noise_floor":
            return number(floors[pairing, subset])
        entry = cells[line["row"], pairing, subset]
        return f"{number(entry['mean_absolute'])} ({number(entry['absolute_mean'])})"

    def signed(line: dict[str, Any], pairing: str, subset: str) -> str:
        entry = cells[line["row"], pairing, subset]
        bounds = interval(entry["low"], entry["high"])
        return f"{number(entry['mean'], sign=True)} {bounds} {'=' if entry['equivalent'] else ''}".strip()

    short = sample.spec.title.split(":")[0]
    keys = ["row", "subset", "images", "pairing"]
    return [
        Table(
            name=f"{sample.table}-sensitivity",
            title=f"{short}: mean |d| (and |mean d|) under other choices, points",
            columns=[label, *(column(way, absolute) for way in ways)],
            lines=[*lines, {"row": "noise_floor", "label": "Noise floor, mean |d|"}],
            data=found.choices,
            fields=[*keys, "mean_absolute", "absolute_mean", "floor"],
            notes=[
                "Each column is a protocol: which test images count, and whether trial t is held against trial t"
                " or every trial against all unlike ones. In brackets the other reading of the paper's text: the"
                " absolute value of the mean."
            ],
            **frame,
        ),
        Table(
            name=f"{sample.table}-sensitivity-signed",
            title=f"{short}: signed difference and equivalence (±{choices.margin:g} points) under other choices",
            columns=[label, *(column(way, signed) for way in ways)],
            lines=lines,
            data=found.choices,
            fields=[*keys, "mean", "low", "high", "equivalent"],
            notes=["= : the two one-sided tests find the row equivalent to the baseline."],
            **frame,
        ),
        ranking_table(sample, found, choices, frame),
    ]


def ranking_table(sample: Sample, found: Sensitivity, choices: Choices, frame: dict[str, Any]) -> Table:
    """How steady the ranking of the rows by mean |d| is when every trial's test images are drawn again."""
    redraws = found.redraws
    if redraws["reason"]:
        notes = [f"No redraws: {redraws['reason']}."]
    else:
        notes = [
            f"In {number(redraws['changed'], 1)} % of {redraws['draws']:,} redraws of {redraws['images']:,} images"
            " per trial the rows are ranked otherwise than on the report's own images. Rank 1 is nearest to the"
            " baseline."
        ]
    columns = [
        Column("Row", lambda line: line["label"], wide=True),
        Column("Mean |d|", lambda line: number(line["own"])),
        Column(
            f"Redraws, {100 * (1 - choices.alpha):g} %", lambda line: f"{number(line['low'])} to {number(line['high'])}"
        ),
        Column("Rank", lambda line: str(line["rank"])),
        Column("Same rank in", lambda line: f"{number(line['same_rank'], 1)} %"),
        Column("Ranks seen", lambda line: f"{line['best_rank']} to {line['worst_rank']}"),
    ]
    return Table(
        name=f"{sample.table}-ranking",
        title=f"{sample.spec.title.split(':')[0]}: does the ranking depend on which images were drawn?",
        columns=columns,
        lines=found.ranks,
        fields="row own low high rank same_rank best_rank worst_rank".split(),
        notes=notes,
        **frame,
    )
