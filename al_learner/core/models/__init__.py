"""What a user can do with the stored classifiers.

Here live: the catalogue (list, show, predict, export, prune), the comparison of two classifiers, and the
stopping advice. Nothing here trains or announces.
"""
