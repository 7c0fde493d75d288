"""The decision whether an instance may sleep, and the controller that acts on it."""
