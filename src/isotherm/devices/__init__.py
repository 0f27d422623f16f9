"""Every touch of the operating system: drives, threads, processes, shared memory; and their faulty twins."""
