"""What counts as use of an instance: its flows, its gate file, its leases."""
