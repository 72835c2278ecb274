"""Personal data: find it, replace it before it leaves, put it back where it came from. No Django, no I/O."""
