"""Programs for developers; none is installed."""
