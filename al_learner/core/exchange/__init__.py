"""Data that goes in from other tools, and out to them.

Here live: reading files and exports of annotation tools, loading them into LabelForward's tables, exports, and labelled
corpora for simulations. Nothing here knows strategies or runs.
"""
