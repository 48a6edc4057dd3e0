"""From labelled texts to a classifier and its score.

Here live: the job and its two trainers, in this process and in one of its own, features, fitting, the cold start,
evaluation, and the selection among candidates. Texts are read here. Nothing is written, and it is not decided when to
train.
"""
