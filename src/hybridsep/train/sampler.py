"""What the augmentation configuration means for training: the plan of every epoch, and the constants of every step."""

from typing import Any

from hybridsep.data.batches import EpochPlan, plan_epoch


class AugmentationSampler:
    """The draws of a study over `count` training images of `height` pixels, from a plain `augmentation` configuration.

    `size` is the side of a crop, `hole` that of the cutout (0: none); `jittered` says whether colours change. They are
    keyword arguments of `hybridsep.train.step.TrainingStep`, together in `constants`.
    """

    def __init__(self, augmentation: dict[str, Any], *, count: int, height: int, batch_size: int, study_seed: int):
        colour = {key: augmentation[key] for key in ("hue", "saturation", "exposure")}
        self.size = augmentation["crop"] or height
        self.hole = augmentation["cutout"] if augmentation["kind"] == "crop_flip_cutout" else 0
        self.jittered = tuple(colour.values()) != (0.0, 1.0, 1.0)
        self.constants = {"size": self.size, "hole": self.hole, "jittered": self.jittered}
        self._arguments = {
            "count": count,
            "batch_size": batch_size,
            "height": height,
            "size": self.size,
            "padding": augmentation["padding"],
            "kind": augmentation["kind"],
            "cutout": augmentation["cutout"],
            **colour,
            "study_seed": study_seed,
        }

    def plan(self, *, trial: int, epoch: int) -> EpochPlan:
        """Draw one epoch of one trial; raises ConfigError as `plan_epoch` does."""
        return plan_epoch(**self._arguments, trial=trial, epoch=epoch)
