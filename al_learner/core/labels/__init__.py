"""From votes to labels.

Here live: what counts as a vote, aggregation, which texts are new samples, and how annotators agree. No database and no
training: votes come in as plain rows.
"""
