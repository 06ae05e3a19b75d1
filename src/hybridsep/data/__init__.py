"""Datasets: sources that give uint8 arrays, and batches with per-image augmentation drawn from them on the device."""

from hybridsep.data.dataset import Dataset, channel_statistics

__all__ = ["Dataset", "channel_statistics"]
