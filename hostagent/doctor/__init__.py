"""What this machine can do for instances, tried for real and told in words."""
