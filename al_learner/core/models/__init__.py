"""What a user can do with the stored classifiers.

Here live: the catalogue (list, show, predict, export, prune), the texts to label next, the comparison of two
classifiers, the advice whether to go on labelling, and the retention, which deletes old classifiers. Nothing here
trains or announces.
"""
