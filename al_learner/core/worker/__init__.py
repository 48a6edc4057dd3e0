"""The loop of a project, and the loops of many projects in one process. What is done when is decided in `lifecycle`."""
