"""A command as an instance: namespaces, a user and cgroups of its own."""
