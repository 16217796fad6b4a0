"""Cars, and how their makers' clouds are asked: the contract, the link to a cloud, and one file per maker."""
