"""Random programs, run by funcnn and by an interpreter in plain NumPy that shares nothing with it."""
