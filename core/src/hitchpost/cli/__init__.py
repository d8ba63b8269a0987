"""The program `hitchpost`. Each command has a file of its own, which imports what it works with when it is called and not before."""
