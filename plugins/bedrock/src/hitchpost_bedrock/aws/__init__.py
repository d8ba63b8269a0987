"""What every provider in front of AWS needs: credentials, clients, threads to call them in, and errors. Knows nothing of an API of Hitchpost."""
