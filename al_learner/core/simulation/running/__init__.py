"""Runs the trials of a simulation, several at a time: in processes of this machine, or on a Dask cluster."""
