"""The first packet to a sleeping instance wakes it."""
