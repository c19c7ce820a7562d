"""The other edges of the kernel: waiting, processes, log, pidfile, the terminal left behind."""
