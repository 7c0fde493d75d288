"""What an instance is, where it is written down, and how it goes from level to level."""
