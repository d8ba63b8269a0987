"""What the benchmarks share: servers as processes of their own, and their CPU time and memory."""
