"""What happens when processes die, disks fill and fail, and clocks step."""
