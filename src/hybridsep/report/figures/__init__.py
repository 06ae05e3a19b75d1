"""Figures: each in a file of its own, its numbers first and then its drawing."""

from dataclasses import replace
from typing import Any

from hybridsep.report.comparison import Comparison
from hybridsep.report.figures.cost import costs
from hybridsep.report.figures.curves import learning_curves
from hybridsep.report.figures.differences import differences
from hybridsep.report.figures.disagreement import disagreements
from hybridsep.report.figures.figure import Figure
from hybridsep.report.figures.functions import functions
from hybridsep.report.figures.trials import trials
from hybridsep.report.folders import Problem
from hybridsep.report.heading import images
from hybridsep.report.runset import RunSet


def of_comparison(runset: RunSet, comparison: Comparison) -> list[Figure[Any]]:
    """Return the figures that need nothing but the trials' errors and predictions, those with something to show."""
    figures: list[Figure[Any]] = [
        differences(runset, comparison),
        functions(runset, comparison),
        trials(runset, comparison),
    ]
    return [figure for figure in figures if figure.lines]


def of_runs(runset: RunSet, comparison: Comparison) -> tuple[list[Figure[Any]], list[Problem]]:
    """Return all figures of a set of runs, and the histories that could not be read."""
    curves, problems = learning_curves(runset)
    others: list[Figure[Any]] = [curves, disagreements(runset), costs(runset, comparison)]
    figures = [*of_comparison(runset, comparison), *(figure for figure in others if figure.lines)]
    chosen = f" Errors on {images(runset)}."
    return [replace(one, legend=one.legend + chosen) if one.errors else one for one in figures], problems
