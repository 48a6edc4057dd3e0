"""Simulated projects on labelled corpora, to compare strategies.

Here live: simulated annotators, the plan and the grid of trials, their processes, metrics and reports. A
simulated project is a real `Project`. Nothing here trains by itself.
"""
