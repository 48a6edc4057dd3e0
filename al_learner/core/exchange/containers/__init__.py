"""What holds records: files of every format, standard input, and tables in memory.

Each module yields records with their places. Nothing here knows what a record means.
"""
