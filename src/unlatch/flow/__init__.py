"""The shell: one fact in, one transaction, orders out. The only room that joins two neighbours."""
