"""The agent of one host: instances that sleep when nobody uses them and that the first packet wakes."""
