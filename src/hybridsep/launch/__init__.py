"""The jobs of a command: Hydra's sweep and launchers, how each job ended, stopping, progress."""
