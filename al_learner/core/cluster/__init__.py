"""A Dask cluster in the place of the training process. Nothing here trains by itself, or knows what is due.

It needs the extra ``cluster``, and is imported only if a cluster is configured.
"""
