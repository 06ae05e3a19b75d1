"""The words of notices that tests look for, each in one place. Those of refused command lines are in wording.txt."""

GOES_ON = "the same command goes on"
ALREADY_FINISHED = "already finished"
ALREADY_DIVERGED = "already diverged"
CANNOT_BE_WRITTEN = "cannot be written"
NO_SPACE = "No space left on device"  # the system's own
TRAINING_TO = "training to epoch"
TRAINING_FROM = "training from epoch"
# What a person does about a folder that is damaged.
NO_SOUND_CHECKPOINT = "no sound checkpoint is left: remove"
COPY_AGAIN = "copy it again, or remove the folder"


def jobs(done: int, all_: int, *, stopped: bool = False) -> str:
    """What a command says at its end of jobs."""
    return f"{done} of {all_} jobs done" + (f"; {GOES_ON}" if stopped else "")


def trials(how: str, *names: str) -> str:
    """What a command says at its end of trials that failed, diverged or were lost."""
    return f"{len(names)} {how}: {', '.join(names)}"


def finished(run: str) -> str:
    return f"{run}: finished"


def stopped(after: str, why: str) -> str:
    """What a trial says that was stopped after some epoch or step."""
    return f"stopped after {after} ({why}); {GOES_ON}"
