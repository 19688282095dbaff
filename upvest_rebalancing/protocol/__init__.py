"""The pure core: no socket, no clock, no randomness, no environment; all of these are arguments."""
