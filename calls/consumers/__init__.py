"""Where clients connect: sockets to calls, one module for each protocol, nothing else."""
