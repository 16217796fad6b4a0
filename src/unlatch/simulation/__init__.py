"""A world in one process and on one seed: the real flow, on a simulated clock, network and database, against bad luck.

What is real: `flow/` and the Python of `store/`. What is simulated: time, PostgreSQL (its locks, snapshots and commits,
and nothing kinder), the makers' clouds, cars, and people. What is so in truth is kept apart from what the platform
believes, and laid beside it.
"""
