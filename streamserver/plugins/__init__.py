"""What a plugin is, and how plugins are found, ordered, started and stopped."""
