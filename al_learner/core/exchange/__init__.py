"""Data that goes in from other tools.

Here live: reading files and exports of annotation tools, loading them into LabelForward's tables, and labelled corpora
for simulations. Nothing here knows strategies or runs.
"""
