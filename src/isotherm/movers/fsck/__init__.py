"""`fsck`: proves every object readable and every byte accounted for; see check.py."""
