"""Sends tasks to a Dask cluster and brings answers back, as bytes. Nothing here knows what the tasks are."""
