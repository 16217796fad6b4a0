"""The simulated town: cars, their makers' clouds over real HTTP, and every fault they are known for."""
