"""The composition root: configuration to roles, owned by one TaskGroup, ended by signals."""
