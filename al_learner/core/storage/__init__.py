"""Everything that is read from and written to the database.

Here live: the tables, connections and retries, every query on LabelForward's tables and on al_runs, the run lock, a
run's transactions, and the migrations of al_runs. The records that are handed out (`records`) are plain, so that the
rest of the package needs no SQLAlchemy. No decision is made here: neither what is due nor what can be trusted.
"""
